"""Compare both checkpoints' residual streams, and value vectors with the shift."""

import argparse
from pathlib import Path

import numpy as np

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_csv
from dpo_neurons.models.value_vectors import check_width
from dpo_neurons.neurons.residual_shifts import (
    compare_streams,
    compare_value_vectors,
    find_nearest_neurons,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, compare layer by layer, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--output", type=Path, required=True, help="csv, one row per layer")
    parser.add_argument("--prompts-output", type=Path, required=True, help="csv, at some layers")
    parser.add_argument("--changes-output", type=Path, required=True, help="csv of value vectors")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[0]
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        d_model = pre["resid_post"].shape[2]
        check_width(direction[None], d_model, arguments.direction, arguments.activations_pre)
        nearest = find_nearest_neurons(arguments.checkpoint_pre, direction)
        layers, prompts, shifts = compare_streams(pre, post, direction, nearest)
        mlp_post_mean = post["mlp_post_mean"][:].astype(np.float64)
    changes = compare_value_vectors(
        arguments.checkpoint_pre, arguments.checkpoint_post, mlp_post_mean, shifts
    )
    write_csv(arguments.output, layers)
    write_csv(arguments.prompts_output, prompts)
    write_csv(arguments.changes_output, changes)
    log.info("\n%s", layers.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
