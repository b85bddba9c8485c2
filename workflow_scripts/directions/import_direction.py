"""Check a user's direction file and copy it, as unit rows, into the results."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.directions.import_direction import read_given_direction
from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="pt, pth, bin, npy or safetensors")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    rows, tensor, lengths = read_given_direction(arguments.path)
    log.info("%d vectors, %d wide; neurons are grouped by the first", *rows.shape)
    how = {
        "kind": "file",
        "path": str(arguments.path),
        "sha256": sha256_of(arguments.path),
        "tensor": tensor,
    }
    write_direction(arguments.output, rows, how, lengths)


if __name__ == "__main__":
    run_program(main)
