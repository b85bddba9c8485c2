"""Continue the challenge prompts under each of a row's random sets of neurons."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.tables import read_table
from dpo_neurons.interventions.plans import COLUMNS
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    log,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, generate under each plan, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--plans", type=Path, required=True, help="parquet, with a column draw")
    parser.add_argument("--challenge-prompts", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument(
        "--generation-positions",
        required=True,
        choices=("last", "all"),
        help="where a plan acts in each forward pass of generation",
    )
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, with a draw each")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.hooks import apply_plan
    from dpo_neurons.interventions.outputs import continue_prompts, name_broken_intervention
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    dataset = read_dataset(arguments.challenge_prompts, "challenge_prompts")
    prompts = [row["prompt"] for row in dataset]
    plans = read_table(arguments.plans, ("draw", *COLUMNS), "plans of random sets need")
    direction = read_direction(arguments.direction) if arguments.direction else None
    tokenizer = load_tokenizer(arguments.tokenizer)
    written = []
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        apply_pair(model, read_pair(arguments.pair))
        batch_size = first_batch_size(arguments.batch_size, model.device)
        for draw, plan in plans.groupby("draw"):
            name = f"{arguments.plans.stem}, random set {draw}"
            with (
                name_broken_intervention(name, plan, arguments.dtype),
                apply_plan(model, plan, arguments.generation_positions, direction),
            ):
                rows = continue_prompts(model, tokenizer, prompts, arguments.tokens, batch_size)
            written += [{"draw": int(str(draw)), **row} for row in rows]
            log.info("random set %s of %d", draw, plans["draw"].nunique())
    write_jsonl(arguments.output, written)


if __name__ == "__main__":
    run_program(main)
