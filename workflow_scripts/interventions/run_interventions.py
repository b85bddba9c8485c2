"""Run a model under an entry's rows: continue prompts, measure perplexity and faithfulness.

All share one load of the models, and what the models read alike.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.tables import write_table
from dpo_neurons.interventions.continuation_files import read_continuations
from dpo_neurons.interventions.plans import read_plans
from dpo_neurons.neurons.stream_shifts import read_shifts
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset
from dpo_neurons.study.study import STAGES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from dpo_neurons.interventions.outputs import Row

PROMPTS = ("challenge_prompts", "reference_sentences")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows",
        type=json.loads,
        required=True,
        help="each row's intervention, generation_positions, perplexity_positions, and for plans "
        "that assign each prompt its own activations source_stage and source_positions, for plans "
        "that put in the other checkpoint's weights donor_stage, as JSON",
    )
    for stage in STAGES:
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
    parser.add_argument(
        "--stage", required=True, choices=STAGES, help="checkpoint that the plans change"
    )
    parser.add_argument("--plans", type=Path, required=True, help="of the rows, parquet")
    for name in PROMPTS:
        option = name.replace("_", "-")
        parser.add_argument(f"--{option}", type=Path, required=True, help="JSON lines")
        parser.add_argument(f"--{option}-output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument("--perplexity-text", type=Path, required=True, help="JSON lines")
    parser.add_argument("--perplexity-output", type=Path, required=True, help="JSON")
    parser.add_argument("--window", type=int, required=True, help="tokens per window of text")
    parser.add_argument(
        "--screen-windows",
        type=int,
        default=0,
        help="windows, the first ones, that show whether a row breaks the model and need not be "
        "read on others (default: every row is read on all)",
    )
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    parser.add_argument("--shifts", type=Path, help="of the stream, parquet, for plans that add it")
    parser.add_argument(
        "--capture",
        type=Path,
        help="activation cache that holds a row's continuations of the challenge prompts, HDF5",
    )
    parser.add_argument("--captured-row", help="the intervention that the capture ran under")
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
    import pandas as pd

    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.answers import measure_on_answers
    from dpo_neurons.interventions.captured_texts import (
        continue_unless_captured,
        read_captured_rows,
    )
    from dpo_neurons.interventions.loaded_pair import GivenVectors, LoadedPair
    from dpo_neurons.interventions.outputs import cut_continuations, describe_perplexity
    from dpo_neurons.interventions.windows import measure_on_windows
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.models.perplexity import split_into_windows
    from dpo_neurons.running.devices import lease_devices

    paths, n_tokens = vars(arguments), arguments.tokens
    prompts = {name: [row["prompt"] for row in read_dataset(paths[name], name)] for name in PROMPTS}
    texts = [row["text"] for row in read_dataset(arguments.perplexity_text, "perplexity_text")]
    plans = read_plans(arguments.plans)
    pair = read_pair(arguments.pair)
    vectors = GivenVectors(
        read_direction(arguments.direction) if arguments.direction else None,
        read_shifts(arguments.shifts) if arguments.shifts else None,
    )
    tokenizer = load_tokenizer(arguments.tokenizer)
    captured: dict[str, dict[str, list[Row]]] = {name: {} for name in PROMPTS}
    if arguments.capture is not None:
        captured["challenge_prompts"][arguments.captured_row] = read_captured_rows(
            arguments.capture, tokenizer, prompts["challenge_prompts"], n_tokens
        )
    with lease_devices(arguments.device, arguments.gpus) as devices:

        def load(stage: str) -> "PreTrainedModel":
            path = paths[f"checkpoint_{stage}"]
            model = load_model(path, arguments.dtype, devices, arguments.attention)
            apply_pair(model, pair)
            return model

        models = LoadedPair({stage: load(stage) for stage in STAGES}, arguments.stage, load)
        rows = [models.prepare(row, plans, vectors, n_tokens) for row in arguments.rows]
        model = models.changed
        continued = {
            name: continue_unless_captured(
                rows, captured[name], model, tokenizer, texts_of_set, n_tokens,
                arguments.batch_size,
            )
            for name, texts_of_set in prompts.items()
        }  # fmt: skip
        # Without others, this run is of the second checkpoint alone, and these are its own.
        answers = (
            read_continuations(arguments.answers)
            if arguments.answers is not None
            else pd.DataFrame(continued["challenge_prompts"][0])
        )
        cut_continuations(tokenizer, continued["challenge_prompts"], answers["tokens"])
        windows = split_into_windows(model, tokenizer, texts, arguments.window)
        changing = model, models.references, rows
        batch_size = first_batch_size(arguments.batch_size, model.device)
        perplexities, on_text = measure_on_windows(
            *changing, windows, batch_size, arguments.compared_windows, arguments.screen_windows
        )
        compared = answers.head(arguments.compared_prompts)
        on_answers = measure_on_answers(
            *changing, tokenizer, compared["prompt"].tolist(), compared["tokens"].tolist(),
            n_tokens, batch_size,
        )  # fmt: skip
    for name in PROMPTS:
        by_row = zip(rows, continued[name], strict=True)
        written = [{"intervention": row.name, **line} for row, lines in by_row for line in lines]
        write_jsonl(paths[f"{name}_output"], written)
    described = [
        describe_perplexity(row, perplexity, len(windows))
        for row, perplexity in zip(rows, perplexities, strict=True)
    ]
    write_checked_json(arguments.perplexity_output, {"interventions": described})
    write_table(arguments.faithfulness_output, pd.concat([on_answers, on_text], ignore_index=True))


if __name__ == "__main__":
    run_program(main)
