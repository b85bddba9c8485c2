"""Check a user's direction file and copy it, as unit rows, into the results."""

import argparse
from pathlib import Path

from dpo_neurons.directions import read_direction, write_direction
from dpo_neurons.program import run_program


def main() -> None:
    """Parse, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="safetensors with a direction")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    vectors = read_direction(arguments.path)
    write_direction(arguments.output, vectors, {"kind": "file", "path": str(arguments.path)})


if __name__ == "__main__":
    run_program(main)
