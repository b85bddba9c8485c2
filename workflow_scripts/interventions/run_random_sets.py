"""Continue the challenge prompts under the random sets of neurons of an entry's rows."""

import argparse
import json
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


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows",
        type=json.loads,
        required=True,
        help="each row's intervention and generation_positions, as JSON",
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument(
        "--plans", type=Path, required=True, help="parquet, with columns intervention and draw"
    )
    parser.add_argument("--challenge-prompts", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    parser.add_argument("--donor", type=Path, help="the other checkpoint, to put its weights in")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, with a draw each")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Parse, generate under each plan, write."""
    arguments = parse_arguments()
    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.outputs import Intervention, continue_under_each
    from dpo_neurons.interventions.transplants import WeightDonor
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    dataset = read_dataset(arguments.challenge_prompts, "challenge_prompts")
    prompts = [row["prompt"] for row in dataset]
    columns = ("intervention", "draw", *COLUMNS)
    plans = read_table(arguments.plans, columns, "plans of random sets need")
    direction = read_direction(arguments.direction) if arguments.direction else None
    tokenizer = load_tokenizer(arguments.tokenizer)
    positions = {row["intervention"]: row["generation_positions"] for row in arguments.rows}
    draws = [(str(name), int(draw)) for name, draw in plans.groupby(list(columns[:2])).groups]
    with lease_devices(arguments.device, arguments.gpus) as devices:
        how = arguments.dtype, devices, arguments.attention
        model = load_model(arguments.checkpoint, *how)
        apply_pair(model, read_pair(arguments.pair))
        donor = WeightDonor(load_model(arguments.donor, *how)) if arguments.donor else None
        interventions = [
            Intervention(
                f"{name}, random set {draw}",
                plans[(plans["intervention"] == name) & (plans["draw"] == draw)],
                positions[name],
                direction=direction,
                donor=donor,
            )
            for name, draw in draws
        ]
        written = continue_under_each(
            interventions, model, tokenizer, prompts, arguments.tokens, arguments.batch_size
        )
    write_jsonl(
        arguments.output,
        [
            {"intervention": name, "draw": draw, **line}
            for (name, draw), lines in zip(draws, written, strict=True)
            for line in lines
        ],
    )
    log.info("%d random sets", len(draws))


if __name__ == "__main__":
    run_program(main)
