"""Describe the neurons of one checkpoint: cosine and mean activation."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_table
from dpo_neurons.models.value_vectors import project_written_vectors
from dpo_neurons.neurons.neuron_table import describe_neurons
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, describe, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--activations", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[0]
    components, norms, _ = project_written_vectors(
        arguments.checkpoint, direction, arguments.direction
    )
    with open_cache(arguments.activations) as cache:
        table = describe_neurons(components, norms, cache["mlp_post_mean"][:])
    write_table(arguments.output, table)
    log.info("%d neurons", len(table))


if __name__ == "__main__":
    run_program(main)
