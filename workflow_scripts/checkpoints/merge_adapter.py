"""Merge a PEFT adapter, such as LoRA's, into the first checkpoint."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoints.saving import checksums, save_checkpoint
from dpo_neurons.running.program import obey_threads, run_program


def main() -> None:
    """Parse, merge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first checkpoint")
    parser.add_argument("--adapter", type=Path, required=True, help="directory of the adapter")
    parser.add_argument("--dtype", required=True, help="of the merged weights")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import torch

    from dpo_neurons.checkpoints.adapters import check_adapter, merge_adapter
    from dpo_neurons.models.loading import load_trainable_model

    check_adapter(arguments.adapter)
    # The merge runs in float32; the result is rounded once.
    base = load_trainable_model(arguments.checkpoint, "float32")
    model = merge_adapter(base, arguments.adapter).to(getattr(torch, arguments.dtype))
    save_checkpoint(
        model,
        arguments.checkpoint,
        arguments.output,
        arguments.source_output,
        kind="adapter",
        path=str(arguments.adapter),
        given=checksums(arguments.adapter),
    )


if __name__ == "__main__":
    run_program(main)
