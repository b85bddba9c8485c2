"""Average the shift of the residual stream after each block, and draw vectors as long."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.files.tables import write_table
from dpo_neurons.neurons.stream_shifts import draw_random_vectors, mean_shifts, tabulate_shifts
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, average, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as caches:
        shifts = mean_shifts(*caches)
    random = draw_random_vectors(shifts, arguments.seed)
    write_table(arguments.output, tabulate_shifts(shifts, random))


if __name__ == "__main__":
    run_program(main)
