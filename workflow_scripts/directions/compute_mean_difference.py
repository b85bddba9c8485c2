"""Compute a direction as the mean state of texts with a label minus that of others."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.running.program import add_model_arguments, log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, read, subtract, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--comments", type=Path, required=True, help="text, labels")
    parser.add_argument("--label", required=True, help="key of the labels")
    parser.add_argument("--layer", required=True, help="a number from 0, last, or best")
    parser.add_argument("--position", required=True, choices=("mean", "last"))
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import numpy as np

    from dpo_neurons.directions.mean_difference import find_mean_difference
    from dpo_neurons.directions.text_states import list_layers, read_resid_post
    from dpo_neurons.models.architectures import Layers
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    comments = read_dataset(arguments.comments, "labelled_comments", [arguments.label])
    texts = [comment["text"] for comment in comments]
    labels = np.array([comment[arguments.label] >= 0.5 for comment in comments])
    tokenizer = load_tokenizer(arguments.checkpoint)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        layers = list_layers(arguments.layer, len(Layers.of(model).blocks))
        size = first_batch_size(arguments.batch_size, model.device)
        states = read_resid_post(model, tokenizer, texts, size, layers, arguments.position)
    difference = find_mean_difference(states, labels, layers, arguments.label)
    log.info("layer %d: AUROC of held-out comments %.3f", difference.layer, difference.auroc)
    how = {
        "kind": "difference",
        "label": arguments.label,
        "comments": str(len(comments)),
        "layer": str(difference.layer),
        "position": arguments.position,
        "held_out_auroc": f"{difference.auroc:.6f}",
    }
    write_direction(arguments.output, difference.vector, how)


if __name__ == "__main__":
    run_program(main)
