"""Compute what the value vectors closest to a direction share: their leading components."""

import argparse
import json
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction, write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True, help="its first row counts")
    parser.add_argument("--neurons", type=int, required=True, help="value vectors closest to it")
    parser.add_argument("--components", type=int, required=True, help="rows of the new direction")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    neurons, count = arguments.neurons, arguments.components
    if not 1 <= count <= neurons:
        raise InputError(
            f"directions.….components: {count} components of {neurons} value vectors; ask for at "
            "least 1 and at most as many as neurons"
        )
    obey_threads(arguments.threads)
    from dpo_neurons.directions.nearest_value_vectors import find_nearest_value_vectors
    from dpo_neurons.directions.subspaces import leading_components

    direction = read_direction(arguments.direction)[:1]
    (found,) = find_nearest_value_vectors(
        arguments.checkpoint, direction, neurons, arguments.direction
    )
    if len(found.cosines) < neurons:
        raise InputError(
            f"directions.….neurons: {neurons} value vectors are asked for, but "
            f"{arguments.checkpoint} has {len(found.cosines)} that are not zero; ask for fewer"
        )
    components = leading_components(found.vectors, count, direction[0])
    cosines = components.rows @ direction[0]
    for row in range(count):
        log.info(
            "component %d: %.1f %% of the value vectors' squared norms, cosine %.3f with %s",
            row + 1, 100 * components.shares[row], cosines[row], arguments.direction.name,
        )  # fmt: skip
    pairs = zip(found.layers, found.neurons, strict=True)
    how = {
        "kind": "svd",
        "from": arguments.direction.stem,
        "neurons": str(neurons),
        "layers_and_neurons": json.dumps([[int(layer), int(neuron)] for layer, neuron in pairs]),
        "smallest_cosine": f"{found.cosines[-1]:.6f}",
        "singular_values": _listed(components.singular_values),
        "shares": _listed(components.shares),
    }
    write_direction(arguments.output, components.rows, how)


def _listed(numbers: list[float]) -> str:
    return json.dumps([round(float(number), 6) for number in numbers])


if __name__ == "__main__":
    run_program(main)
