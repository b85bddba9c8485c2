"""Capture a checkpoint's activations on pieces of the challenge prompts."""

import argparse
from pathlib import Path

from dpo_neurons.files.provenance import read_source
from dpo_neurons.running.program import (
    add_capture_arguments,
    add_model_arguments,
    add_pair_arguments,
    library_versions,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, generate and capture, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="the checkpoint's origin, JSON")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    add_capture_arguments(parser)
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.activations.capture import ActivationCapture
    from dpo_neurons.activations.pieces import Share, capture_pieces
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    prompts = [row["prompt"] for row in read_dataset(arguments.prompts, "challenge_prompts")]
    tokenizer = load_tokenizer(arguments.tokenizer)
    attributes = {
        "model": arguments.name,
        "revision": read_source(arguments.source)["revision"],
        "dtype": arguments.dtype,
        "positions": arguments.positions,
        "versions": library_versions(),
    }
    share = Share(arguments.pieces, arguments.shard, arguments.shards, arguments.output)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        apply_pair(model, read_pair(arguments.pair))
        with ActivationCapture(model, arguments.positions) as capture:
            capture_pieces(
                model, tokenizer, prompts, capture, arguments.tokens, arguments.batch_size, share,
                attributes,
            )  # fmt: skip


if __name__ == "__main__":
    run_program(main)
