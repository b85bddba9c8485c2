"""Gather the pieces of a capture into one activation cache."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import gather_pieces
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, gather, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=Path, required=True, nargs="+", help="HDF5, in order")
    parser.add_argument("--output", type=Path, required=True, help="HDF5")
    arguments = parser.parse_args()
    gather_pieces(arguments.pieces, arguments.output)


if __name__ == "__main__":
    run_program(main)
