"""Compare the sums of reductions along a direction with those along random directions."""

import argparse
from pathlib import Path

import numpy as np

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_csv
from dpo_neurons.models.value_vectors import check_width, iterate_written_vectors
from dpo_neurons.neurons.groups import DEFINITIONS
from dpo_neurons.neurons.random_directions import (
    COLUMNS,
    LAYERS_COLUMNS,
    QUANTITIES,
    compare_with_random,
    draw_directions,
    sum_along,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, sum along all directions, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--definition", required=True, choices=DEFINITIONS, help="of the groups")
    parser.add_argument("--draws", type=int, required=True, help="random directions")
    parser.add_argument("--level", type=float, required=True, help="of the interval of the draws")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    parser.add_argument("--layers-output", type=Path, required=True, help="csv, a row a layer")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[:1]
    random = draw_directions(arguments.draws, direction.shape[1], arguments.seed)
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        means = pre["mlp_post_mean"][:], post["mlp_post_mean"][:]
    pairs = zip(
        iterate_written_vectors(arguments.checkpoint_pre),
        iterate_written_vectors(arguments.checkpoint_post),
        *(mean.astype(np.float64) for mean in means),
        strict=True,
    )
    values, _ = next(iterate_written_vectors(arguments.checkpoint_pre))
    check_width(direction, values.shape[1], arguments.direction, arguments.checkpoint_pre)
    layers = ((before, after, *of_layer) for (before, _), (after, _), *of_layer in pairs)
    sums, nets = sum_along(np.vstack([direction, random]), layers, arguments.definition)
    table = compare_with_random(sums, arguments.level).assign(quantity=QUANTITIES)
    write_csv(arguments.output, table[list(COLUMNS)])
    by_layer = compare_with_random(nets, arguments.level).assign(layer=range(len(nets)))
    write_csv(arguments.layers_output, by_layer[list(LAYERS_COLUMNS)])
    log.info("\n%s", table.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
