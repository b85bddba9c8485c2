"""Compute the leading components of the value vectors closest to a direction."""

import argparse
import json
from pathlib import Path

from dpo_neurons.directions.direction_files import list_rounded, read_direction, write_direction
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--neurons", type=int, required=True, help="value vectors closest to it")
    parser.add_argument("--components", type=int, required=True, help="rows of the new direction")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.directions.nearest_value_vectors import find_shared_components

    direction = read_direction(arguments.direction)[0]
    nearest, components = find_shared_components(
        arguments.checkpoint,
        direction,
        arguments.neurons,
        arguments.components,
        arguments.direction,
    )
    cosines = components.rows @ direction
    for row in range(arguments.components):
        log.info(
            "component %d: %.1f %% of the value vectors' squared norms, cosine %.3f with %s",
            row + 1, 100 * components.shares[row], cosines[row], arguments.direction.name,
        )  # fmt: skip
    pairs = zip(nearest.layers, nearest.neurons, strict=True)
    how = {
        "kind": "svd",
        "from": arguments.direction.stem,
        "neurons": str(arguments.neurons),
        "layers_and_neurons": json.dumps([[int(layer), int(neuron)] for layer, neuron in pairs]),
        "smallest_cosine": f"{nearest.cosines[-1]:.6f}",
        "singular_values": list_rounded(components.singular_values),
        "shares": list_rounded(components.shares),
    }
    write_direction(arguments.output, components.rows, how)


if __name__ == "__main__":
    run_program(main)
