"""Processor time of an entry's rows, against the same rows run one by one as in a notebook."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import (
    PROJECT,
    Figure,
    add_measuring_arguments,
    describe_machine,
    ratios,
    report,
)
from workloads import (
    Shape,
    Work,
    add_shape_arguments,
    make_model,
    make_prompts,
    make_smollm2,
    make_tokenizer,
    read_shape,
    read_work,
)

NOTEBOOK = "a notebook: load, hook, generate, perplexity for each row"
OURS = "run_interventions"
COMPARED = "run_interventions, with faithfulness on 64 answers and 2 windows"
BAR = 0.6
SHARE, WINDOW = 0.5, 512
DOWN_PROJECTIONS = {"gpt2": "transformer.h.{}.mlp.c_proj", "llama": "model.layers.{}.mlp.down_proj"}
"""Where a notebook hooks a layer's neurons, by type of model."""


def main() -> None:
    """Parse, make checkpoints and texts, time, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shape_arguments(parser, Shape(), Work(prompts=128, batch_size=64))
    add_measuring_arguments(parser, rounds=3)
    parser.add_argument("--rows", type=int, default=4, help="of the entry (%(default)s)")
    parser.add_argument("--windows", type=int, default=7, help=f"of {WINDOW} tokens (%(default)s)")
    parser.add_argument(
        "--smollm2", action="store_true", help="SmolLM2 135M's shape in place of GPT-2's"
    )
    parser.add_argument("--notebook", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.notebook is not None:
        run_as_a_notebook(arguments.notebook, arguments)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, arguments)
        seconds = processor_seconds(all_variants(folder, arguments), arguments.rounds)
    shape = {"shape": "SmolLM2 135M"} if arguments.smollm2 else vars(read_shape(arguments))
    settings = {**shape, **vars(read_work(arguments))}
    settings |= {"dtype": arguments.dtype, "rows": arguments.rows, "windows": arguments.windows}
    figures = [Figure(f"{name}, processor time", "s", seconds[name]) for name in seconds]
    figures += [
        Figure(f"{OURS} ÷ notebook", "×", ratios(seconds, OURS, NOTEBOOK), BAR),
        Figure("the same with faithfulness ÷ notebook", "×", ratios(seconds, COMPARED, NOTEBOOK)),
    ]
    report("study", settings, describe_machine(arguments.device), figures)


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """Write two checkpoints, an entry's plans, and texts, as a study has them."""
    import numpy as np
    import pandas as pd
    import torch

    from dpo_neurons.files.jsonl import write_jsonl
    from dpo_neurons.interventions.plans import make_plan, write_plans
    from dpo_neurons.models.architectures import Layers

    model = (
        make_smollm2() if arguments.smollm2 else make_model(read_shape(arguments), "float32", "cpu")
    )
    layers, vocabulary = Layers.of(model), model.config.vocab_size
    tokenizer = make_tokenizer(vocabulary)
    for stage in ("pre", "post"):
        model.save_pretrained(folder / stage)
        tokenizer.save_pretrained(folder / stage)
        with torch.no_grad():
            model.get_input_embeddings().weight[0, 0] += 1e-3
    random = np.random.default_rng(0)
    n = len(layers.blocks) * layers.d_mlp
    plans = {}
    for number in range(arguments.rows):
        neurons = np.flatnonzero(random.random(n) < SHARE)
        table = pd.DataFrame({"layer": neurons // layers.d_mlp, "neuron": neurons % layers.d_mlp})
        shifts = pd.Series(random.normal(0, 0.01, len(table)))
        plans[f"shift_{number}"] = make_plan(table, "add", shifts)
    write_plans(folder / "plans.parquet", plans)
    prompts = make_prompts(arguments.prompts, len(tokenizer))
    write_jsonl(folder / "challenge.jsonl", [{"prompt": prompt} for prompt in prompts])
    write_jsonl(folder / "references.jsonl", [{"prompt": prompts[0], "gold": "w1"}])
    words = random.integers(0, vocabulary - 3, WINDOW * arguments.windows)
    write_jsonl(folder / "text.jsonl", [{"text": " ".join(f"w{word}" for word in words)}])
    answers = [
        {"intervention": "dpo", "prompt": prompt, "continuation": "w1", "tokens": [9] * 19}
        for prompt in prompts
    ]
    write_jsonl(folder / "answers.jsonl", answers)
    program = PROJECT / "workflow_scripts/checkpoints/check_pair.py"
    stages = [
        word for stage in ("pre", "post") for word in (f"--checkpoint-{stage}", folder / stage)
    ]
    command = [sys.executable, program, *stages, "--threads", "1"]
    subprocess.run([*command, "--output", folder / "pair.json"], check=True, capture_output=True)


def all_variants(folder: Path, arguments: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Return the notebook and our program, without and with faithfulness."""
    rows = [
        {"intervention": f"shift_{number}", "generation_positions": "last",
         "perplexity_positions": "all"}
        for number in range(arguments.rows)
    ]  # fmt: skip
    options = {
        "rows": json.dumps(rows), "checkpoint-pre": folder / "pre",
        "checkpoint-post": folder / "post", "stage": "pre", "plans": folder / "plans.parquet",
        "challenge-prompts": folder / "challenge.jsonl",
        "reference-sentences": folder / "references.jsonl", "tokens": arguments.tokens,
        "perplexity-text": folder / "text.jsonl", "window": WINDOW,
        "answers": folder / "answers.jsonl", "pair": folder / "pair.json",
        "tokenizer": folder / "pre", "dtype": arguments.dtype, "attention": "default",
        "batch-size": arguments.batch_size, "device": arguments.device,
        "threads": arguments.threads, "perplexity-output": folder / "p.json",
        "challenge-prompts-output": folder / "c.jsonl",
        "reference-sentences-output": folder / "r.jsonl",
        "faithfulness-output": folder / "f.parquet",
    }  # fmt: skip
    program = PROJECT / "workflow_scripts/interventions/run_interventions.py"

    def ours(prompts: int, windows: int) -> None:
        compared = {"compared-prompts": prompts, "compared-windows": windows}
        words = [
            str(w) for name, value in (options | compared).items() for w in (f"--{name}", value)
        ]
        subprocess.run([sys.executable, program, *words], check=True, capture_output=True)

    def notebook() -> None:
        command = [sys.executable, __file__, *sys.argv[1:], "--notebook", str(folder)]
        subprocess.run(command, check=True, capture_output=True)

    return {NOTEBOOK: notebook, OURS: lambda: ours(1, 1), COMPARED: lambda: ours(64, 2)}


def processor_seconds(
    variants: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Measure the processor time of each variant's processes, once a round: seconds by name.

    Every other round goes backwards. Processes are fresh, so the first round counts too.
    """
    spent: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in reversed(variants) if number % 2 else variants:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            variants[name]()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return spent


def run_as_a_notebook(folder: Path, arguments: argparse.Namespace) -> None:
    """Run each row as one would by hand with transformers and hooks."""
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import pandas as pd
    import torch
    from running import exhaust, generate_plainly
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(folder / "pre", padding_side="left")
    prompts = [json.loads(line)["prompt"] for line in (folder / "challenge.jsonl").open()]
    text = json.loads((folder / "text.jsonl").read_text())["text"]
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    dtype = getattr(torch, arguments.dtype)
    for _, plan in pd.read_parquet(folder / "plans.parquet").groupby("intervention"):
        model = AutoModelForCausalLM.from_pretrained(folder / "pre", dtype=dtype)
        model = model.to(arguments.device).eval()
        model.generation_config.eos_token_id = None
        for layer, rows in plan.groupby("layer"):
            neurons = torch.tensor(rows["neuron"].to_numpy())
            values = torch.tensor(rows["value"].to_numpy(), dtype=dtype)

            def shift(
                module: object, inputs: tuple[torch.Tensor], neurons: torch.Tensor = neurons,
                values: torch.Tensor = values,
            ) -> tuple[torch.Tensor]:  # fmt: skip
                inputs[0][..., neurons] += values
                return inputs

            down_projection = DOWN_PROJECTIONS[model.config.model_type].format(layer)
            model.get_submodule(down_projection).register_forward_pre_hook(shift)
        exhaust(generate_plainly, model, tokenizer, prompts, arguments.tokens, arguments.batch_size)
        with torch.inference_mode():
            for window in ids.split(WINDOW):
                model(input_ids=window[None], labels=window[None])


if __name__ == "__main__":
    main()
