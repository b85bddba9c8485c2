"""Trace how probable given tokens become through the depth of both checkpoints."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import (
    add_bootstrap_arguments,
    add_model_arguments,
    add_pair_arguments,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset
from dpo_neurons.study.study import STAGES


def main() -> None:
    """Parse, trace each checkpoint in turn, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in STAGES:
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="challenge prompts, JSON lines")
    parser.add_argument("--words", nargs="+", required=True, help="words of one token each")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    add_bootstrap_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.activations.token_probabilities import (
        find_tokens,
        tabulate_probabilities,
        trace_token_probabilities,
    )
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    prompts = [row["prompt"] for row in read_dataset(arguments.prompts, "challenge_prompts")]
    tokenizer = load_tokenizer(arguments.tokenizer)
    tokens = find_tokens(tokenizer, arguments.words)
    traced = {}
    with lease_devices(arguments.device, arguments.gpus) as devices:
        for stage in STAGES:
            path = vars(arguments)[f"checkpoint_{stage}"]
            model = load_model(path, arguments.dtype, devices, arguments.attention)
            apply_pair(model, read_pair(arguments.pair))
            batch_size = first_batch_size(arguments.batch_size, model.device)
            traced[stage] = trace_token_probabilities(model, tokenizer, prompts, tokens, batch_size)
            del model
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    write_csv(arguments.output, tabulate_probabilities(traced, *bootstrap))


if __name__ == "__main__":
    run_program(main)
