"""Compute the leading components of differences between rejected and preferred answers."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import list_rounded, write_direction
from dpo_neurons.running.program import add_model_arguments, log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, read, decompose, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="prompt, chosen, rejected")
    parser.add_argument("--components", type=int, required=True, help="rows of the direction")
    parser.add_argument("--layer", required=True, help="a number from 0, or last")
    parser.add_argument("--position", required=True, choices=("mean", "last"))
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.fine_tuning import answer_of
    from dpo_neurons.directions.pair_differences import find_pair_components, read_pair_differences
    from dpo_neurons.directions.text_states import list_layers
    from dpo_neurons.models.architectures import Layers
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    pairs = [
        (row["prompt"], answer_of(row, "chosen"), answer_of(row, "rejected"))
        for row in read_dataset(arguments.pairs, "preference_pairs")
    ]
    tokenizer = load_tokenizer(arguments.checkpoint)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        (layer,) = list_layers(arguments.layer, len(Layers.of(model).blocks))
        size = first_batch_size(arguments.batch_size, model.device)
        differences = read_pair_differences(
            model, tokenizer, pairs, size, layer, arguments.position
        )
    components, n_pairs = find_pair_components(differences, arguments.components)
    for row, share in enumerate(components.shares, 1):
        log.info("component %d: %.1f %% of the differences' squared norms", row, 100 * share)
    how = {
        "kind": "pair_svd",
        "pairs": str(n_pairs),
        "layer": str(layer),
        "position": arguments.position,
        "singular_values": list_rounded(components.singular_values),
        "shares": list_rounded(components.shares),
    }
    write_direction(arguments.output, components.rows, how)


if __name__ == "__main__":
    run_program(main)
