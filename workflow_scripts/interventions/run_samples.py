"""Sample several continuations of each challenge prompt under an entry's rows."""

import argparse
import json
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.interventions.plans import empty_plan, read_plans
from dpo_neurons.neurons.stream_shifts import read_shifts
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
    parser.add_argument("--plans", type=Path, required=True, help="of the rows, parquet")
    parser.add_argument("--challenge-prompts", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument("--per-prompt", type=int, required=True, help="samples of each prompt")
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--top-p", type=float, required=True, help="nucleus; 1 for all tokens")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    parser.add_argument("--shifts", type=Path, help="of the stream, parquet, for plans that add it")
    parser.add_argument("--donor", type=Path, help="the other checkpoint, to put its weights in")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, with a sample each")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Parse, sample, write."""
    arguments = parse_arguments()
    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.outputs import Intervention, continue_under_each
    from dpo_neurons.interventions.transplants import WeightDonor
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.models.sampling import Sampler, draw_uniforms
    from dpo_neurons.running.devices import lease_devices

    dataset = read_dataset(arguments.challenge_prompts, "challenge_prompts")
    prompts = [row["prompt"] for row in dataset]
    plans = read_plans(arguments.plans)
    direction = read_direction(arguments.direction) if arguments.direction else None
    shifts = read_shifts(arguments.shifts) if arguments.shifts else None
    tokenizer = load_tokenizer(arguments.tokenizer)
    written = []
    with lease_devices(arguments.device, arguments.gpus) as devices:
        how = arguments.dtype, devices, arguments.attention
        model = load_model(arguments.checkpoint, *how)
        apply_pair(model, read_pair(arguments.pair))
        donor = WeightDonor(load_model(arguments.donor, *how)) if arguments.donor else None
        interventions = [
            Intervention(
                row["intervention"],
                plans.get(row["intervention"], empty_plan()),
                row["generation_positions"],
                direction=direction,
                donor=donor,
                shifts=shifts,
            )
            for row in arguments.rows
        ]
        for sample in range(1, arguments.per_prompt + 1):
            uniforms = draw_uniforms(len(prompts), arguments.tokens, arguments.seed, sample)
            sampler = Sampler(uniforms, arguments.temperature, arguments.top_p)
            sampled = continue_under_each(
                interventions, model, tokenizer, prompts, arguments.tokens, arguments.batch_size,
                sampler,
            )  # fmt: skip
            for intervention, lines in zip(interventions, sampled, strict=True):
                name = intervention.name
                written += [{"intervention": name, "sample": sample, **line} for line in lines]
            log.info("sample %d of %d", sample, arguments.per_prompt)
    write_jsonl(arguments.output, written)


if __name__ == "__main__":
    run_program(main)
