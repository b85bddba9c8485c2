"""Take what one neuron writes into the residual stream as a direction."""

import argparse
from itertools import islice
from pathlib import Path

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.models.value_vectors import iterate_written_vectors
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--layer", type=int, required=True, help="from 0")
    parser.add_argument("--neuron", type=int, required=True, help="from 0")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    layer, neuron = arguments.layer, arguments.neuron
    layers = (vectors for vectors, _ in iterate_written_vectors(arguments.checkpoint))
    written_vectors = next(islice(layers, layer, None), None)
    if written_vectors is None or neuron >= len(written_vectors):
        raise InputError(
            f"directions.…: {arguments.checkpoint} has no layer {layer}, neuron {neuron}; both "
            "count from 0"
        )
    how = {"kind": "value_vector", "layer": str(layer), "neuron": str(neuron)}
    write_direction(arguments.output, written_vectors[neuron], how)


if __name__ == "__main__":
    run_program(main)
