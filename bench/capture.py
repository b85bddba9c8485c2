"""Cost of capturing activations during generation, compared with generation alone.

All variants continue the same prompts greedily by the same number of tokens. All except plain
generation write the same HDF5 file: activations of neurons and heads, MLP outputs, and the residual
stream.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import (
    Figure,
    PeakMemory,
    add_measuring_arguments,
    describe_machine,
    fastest_ratio,
    ratios,
    report,
    run_in_fresh_process,
    time_variants,
)
from running import cache_at, capture_as_the_workflow, capture_ours, exhaust, generate_plainly
from workloads import (
    Shape,
    Work,
    add_shape_arguments,
    make_model,
    make_prompts,
    make_tokenizer,
    read_shape,
    read_work,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLAIN, OURS, SORTED = "plain generate", "ours, prompts as given", "ours"
BEST = "ours, largest batch"
ONE_MORE = "plain generate, one token more"
AGAIN, NNSIGHT = "generate, then forward again", "nnsight"
TIME_BARS = {OURS: 1.0, SORTED: 1.0, BEST: 1.0}
MEMORY_BARS = {SORTED: 300.0}
"""In MB."""
QUANTITIES = (
    "mlp_post", "mlp_out", "mlp_written", "resid_pre", "attn_z", "attn_z_normed", "resid_post",
)  # fmt: skip
"""What a cache sums; no norm follows attention and MLP of GPT-2."""


def main() -> None:
    """Parse, build the model, time, measure memory in fresh processes, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shape_arguments(parser, Shape(), Work())
    add_measuring_arguments(parser, rounds=5)
    parser.add_argument(
        "--best-batch-size", type=int, help="of ours at its best (default: all prompts)"
    )
    parser.add_argument("--memory-of", choices=(PLAIN, SORTED, BEST), help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    from dpo_neurons.running.program import obey_threads

    obey_threads(arguments.threads)
    work = read_work(arguments)
    model = make_model(read_shape(arguments), arguments.dtype, arguments.device)
    tokenizer = make_tokenizer(arguments.vocabulary)
    best = arguments.best_batch_size or work.prompts
    with tempfile.TemporaryDirectory() as folder:
        variants = all_variants(model, tokenizer, work, best, Path(folder))
        if arguments.memory_of:
            with PeakMemory(arguments.device) as peak:
                variants[arguments.memory_of]()
            print(json.dumps(peak.mb))
            return
        here = describe_machine(arguments.device)
        seconds = time_variants(variants, arguments.rounds, arguments.device)
        written = Path(folder, "ours.h5").stat().st_size
    del model, variants
    memory = {
        name: run_in_fresh_process(__file__, [*command_line(arguments), "--memory-of", name])
        for name in (PLAIN, SORTED, BEST)
    }
    settings = {**vars(read_shape(arguments)), **vars(work), "dtype": arguments.dtype}
    report("capture", settings, here, figures(seconds, memory, written))


def figures(
    seconds: dict[str, list[float]], memory: dict[str, float], written: int
) -> list[Figure]:
    """Return times as ratios to plain generation, and memory beyond the model's."""
    against = [
        figure
        for name in seconds
        if name != PLAIN
        for figure in (
            Figure(f"{name} ÷ {PLAIN}", "×", ratios(seconds, name, PLAIN), TIME_BARS.get(name)),
            Figure(f"{name} ÷ {PLAIN}, fastest runs", "×", fastest_ratio(seconds, name, PLAIN)),
        )
    ]
    beyond = [
        Figure(f"{name}, memory beyond the model", "MB", [mb], MEMORY_BARS.get(name))
        for name, mb in memory.items()
    ]
    return [
        Figure(PLAIN, "s", seconds[PLAIN]),
        *against,
        Figure(f"{SORTED} ÷ {ONE_MORE}", "×", ratios(seconds, SORTED, ONE_MORE)),
        *beyond,
        Figure("written", "MB", [written / 1e6]),
    ]


def command_line(arguments: argparse.Namespace) -> list[str]:
    """Write the arguments as a command line again."""
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


def all_variants(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    work: Work,
    best_batch_size: int,
    folder: Path,
) -> dict[str, Callable[[], None]]:
    """Return the variants to compare, by name; a call runs one once."""
    prompts = make_prompts(work.prompts, len(tokenizer))
    same = (model, tokenizer, prompts, work.tokens)
    size = work.batch_size
    one_more = (model, tokenizer, prompts, work.tokens + 1)
    variants = {
        PLAIN: partial(exhaust, generate_plainly, *same, size),
        ONE_MORE: partial(exhaust, generate_plainly, *one_more, size),
        OURS: partial(capture_ours, *same, size, folder / "ours.h5"),
        SORTED: partial(capture_as_the_workflow, *same, size, folder / "sorted.h5"),
        BEST: partial(capture_as_the_workflow, *same, best_batch_size, folder / "best.h5"),
        AGAIN: partial(forward_again, *same, size, folder / "again.h5"),
    }
    if importlib.util.find_spec("nnsight"):
        variants[NNSIGHT] = partial(capture_by_nnsight, *same, size, folder / "nnsight.h5")
    return variants


def forward_again(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
) -> None:
    """Generate, then read everything in a second pass over prompt and continuation."""
    import torch

    with cache_at(path, len(prompts), tokens) as cache:
        for start, batch, output in generate_plainly(model, tokenizer, prompts, tokens, batch_size):
            prompt = batch["attention_mask"]
            mask = torch.cat([prompt, prompt.new_ones(len(prompt), tokens)], dim=1)
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            with torch.inference_mode(), sum_by_hooks(model, tokens) as sums:
                model(output, attention_mask=mask, position_ids=positions, logits_to_keep=1)
            new = output[:, -tokens:].cpu().numpy()
            read = {name: torch.stack(layers, 1).cpu().numpy() for name, layers in sums.items()}
            cache.add(start, new, new == new, read)


@contextmanager
def sum_by_hooks(model: PreTrainedModel, tokens: int) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Sum a forward pass's inputs and outputs at its last positions, by layer."""
    sums: dict[str, list[torch.Tensor]] = {name: [] for name in QUANTITIES}

    def keep(name: str, states: torch.Tensor) -> None:
        sums[name].append(states[:, -tokens:].float().sum(dim=1))

    def at_projection(module: object, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        keep("mlp_post", inputs[0])
        keep("mlp_out", output)
        keep("mlp_written", output)

    def at_block(module: object, inputs: object, output: object) -> None:
        keep("resid_post", output if not isinstance(output, tuple) else output[0])

    first = model.transformer.h[0]
    hooks = [first.register_forward_pre_hook(lambda _, inputs: keep("resid_pre", inputs[0]))]
    for block in model.transformer.h:
        heads = block.attn.c_proj
        for name in ("attn_z", "attn_z_normed"):
            hooks.append(
                heads.register_forward_pre_hook(lambda _, inputs, name=name: keep(name, inputs[0]))
            )
        hooks.append(block.mlp.c_proj.register_forward_hook(at_projection))
        hooks.append(block.register_forward_hook(at_block))
    yield sums
    for hook in hooks:
        hook.remove()


def capture_by_nnsight(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
) -> None:
    """Capture with nnsight 0.8, reading at all steps but the first."""
    import torch
    from nnsight import TransformersModel

    traced = TransformersModel(model, task="text-generation", tokenizer=tokenizer, dispatch=True)
    with cache_at(path, len(prompts), tokens) as cache:
        for start in range(0, len(prompts), batch_size):
            batch = prompts[start : start + batch_size]
            with traced.generate(batch, max_new_tokens=tokens + 1, do_sample=False) as tracer:
                steps = list().save()
                for _ in tracer.iter[: tokens + 1]:
                    step = []
                    for block in traced.transformer.h:
                        before, heads = block.input, block.attn.c_proj.input
                        read, wrote = block.mlp.c_proj.input, block.mlp.c_proj.output
                        states = (read, wrote, wrote, before, heads, heads, block.output)
                        step.append([state[:, -1] for state in states])
                    steps.append(step)
                output = tracer.result.save()
            read = {
                name: torch.stack(
                    [
                        sum(step[layer][place].float() for step in steps[1:])
                        for layer in range(1 if name == "resid_pre" else len(model.transformer.h))
                    ],
                    dim=1,
                ).cpu().numpy()
                for place, name in enumerate(QUANTITIES)
            }  # fmt: skip
            new = output[:, -tokens - 1 : -1].cpu().numpy()
            cache.add(start, new, new == new, read)


if __name__ == "__main__":
    main()
