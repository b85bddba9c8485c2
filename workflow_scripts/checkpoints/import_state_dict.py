"""Convert a .pt file with a state dict to a checkpoint."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoints.saving import save_checkpoint
from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.running.program import obey_threads, run_program


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--path",
        type=Path,
        required=True,
        help='.pt, a state dict or a dict with one under "state"',
    )
    parser.add_argument("--like", type=Path, required=True, help="checkpoint of the same shape")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.state_dicts import build_model_from_state

    save_checkpoint(
        build_model_from_state(arguments.path, arguments.like),
        arguments.like,
        arguments.output,
        arguments.source_output,
        kind="state_dict",
        path=str(arguments.path),
        given={arguments.path.name: sha256_of(arguments.path)},
    )


if __name__ == "__main__":
    run_program(main)
