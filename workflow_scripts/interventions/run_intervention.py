"""Run a model under an intervention: continue prompts, measure perplexity and faithfulness.

All share one load of the models, because the load takes longest on a small model.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.tables import write_table
from dpo_neurons.interventions.continuation_files import read_continuations
from dpo_neurons.interventions.plans import read_plan
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    log,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset
from dpo_neurons.study.study import STAGES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPTS = ("challenge_prompts", "reference_sentences")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in STAGES:
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
    parser.add_argument(
        "--stage", required=True, choices=STAGES, help="checkpoint that the plan changes"
    )
    parser.add_argument("--plan", type=Path, required=True)
    for name in PROMPTS:
        option = name.replace("_", "-")
        parser.add_argument(f"--{option}", type=Path, required=True, help="JSON lines")
        parser.add_argument(f"--{option}-output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument(
        "--generation-positions",
        required=True,
        choices=("last", "all"),
        help="where the plan acts in each forward pass of generation",
    )
    parser.add_argument("--perplexity-text", type=Path, required=True, help="JSON lines")
    parser.add_argument("--perplexity-output", type=Path, required=True, help="JSON")
    parser.add_argument("--window", type=int, required=True, help="tokens per window of text")
    parser.add_argument(
        "--perplexity-positions",
        required=True,
        choices=("all", "first"),
        help="where the plan acts in each window",
    )
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    source = parser.add_argument_group("plans that assign each prompt its own activations")
    source.add_argument("--source-stage", choices=STAGES, help="checkpoint to read them from")
    source.add_argument("--source-positions", default="generated", help="generated or predicting")
    faithfulness = parser.add_argument_group("divergence from both unchanged checkpoints")
    faithfulness.add_argument(
        "--answers",
        type=Path,
        help="the second checkpoint's continuations, JSON lines (default: those of this run)",
    )
    faithfulness.add_argument(
        "--compared-prompts", type=int, required=True, help="the first so many"
    )
    faithfulness.add_argument(
        "--compared-windows", type=int, required=True, help="the first so many"
    )
    faithfulness.add_argument("--faithfulness-output", type=Path, required=True, help="parquet")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Parse, generate, measure, write."""
    arguments = parse_arguments()
    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.faithfulness import measure_on_answers, measure_on_text
    from dpo_neurons.interventions.hooks import apply_plan
    from dpo_neurons.interventions.operations import SourceOperation, list_operations
    from dpo_neurons.interventions.outputs import (
        continue_prompts,
        describe_perplexity,
        name_broken_intervention,
    )
    from dpo_neurons.interventions.source_activations import SourceActivations
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.models.perplexity import measure_perplexity, split_into_windows
    from dpo_neurons.running.devices import lease_devices

    paths = vars(arguments)
    prompts = {name: [row["prompt"] for row in read_dataset(paths[name], name)] for name in PROMPTS}
    texts = [row["text"] for row in read_dataset(arguments.perplexity_text, "perplexity_text")]
    plan = read_plan(arguments.plan)
    pair = read_pair(arguments.pair)
    direction = read_direction(arguments.direction) if arguments.direction else None
    tokenizer = load_tokenizer(arguments.tokenizer)
    named = partial(name_broken_intervention, arguments.plan.stem, plan, arguments.dtype)
    with lease_devices(arguments.device, arguments.gpus) as devices:

        def load(stage: str) -> "PreTrainedModel":
            path = paths[f"checkpoint_{stage}"]
            model = load_model(path, arguments.dtype, devices, arguments.attention)
            apply_pair(model, pair)
            return model

        models = {stage: load(stage) for stage in STAGES}
        model = models[arguments.stage]
        batch_size = first_batch_size(arguments.batch_size, model.device)
        source = None
        if set(plan["operation"]) & set(list_operations(SourceOperation)):
            stage = arguments.source_stage
            # The changed model cannot be the source too.
            source_model = load(stage) if stage == arguments.stage else models[stage]
            source = SourceActivations(
                source_model, plan, arguments.tokens, arguments.source_positions
            )
        generating, reading = (
            partial(apply_plan, model, plan, positions, direction, source)
            for positions in (arguments.generation_positions, arguments.perplexity_positions)
        )
        with named(), generating():
            rows = {
                name: continue_prompts(
                    model, tokenizer, texts_of_set, arguments.tokens, batch_size, source
                )
                for name, texts_of_set in prompts.items()
            }
        with named(), reading():
            measured = measure_perplexity(
                model,
                tokenizer,
                texts,
                arguments.window,
                batch_size,
                before=source.see_text if source else None,
            )
        references = {"none": models["pre"], "dpo": models["post"]}
        written = pd.DataFrame(rows["challenge_prompts"])
        if arguments.answers is not None:
            written = read_continuations(arguments.answers)
        compared = written.head(arguments.compared_prompts)
        windows = split_into_windows(model, tokenizer, texts, arguments.window)
        with named():
            on_answers = measure_on_answers(
                model, references, generating, tokenizer, compared["prompt"].tolist(),
                compared["tokens"].tolist(), arguments.tokens, batch_size, source,
            )  # fmt: skip
            on_text = measure_on_text(
                model, references, reading, windows[: arguments.compared_windows], source
            )
    for name in PROMPTS:
        write_jsonl(paths[f"{name}_output"], rows[name])
    entry = describe_perplexity(measured, arguments.perplexity_positions)
    write_checked_json(arguments.perplexity_output, entry)
    write_table(arguments.faithfulness_output, pd.concat([on_answers, on_text], ignore_index=True))
    log.info("perplexity %.4f over %d tokens", measured.perplexity, measured.tokens.sum())


if __name__ == "__main__":
    run_program(main)
