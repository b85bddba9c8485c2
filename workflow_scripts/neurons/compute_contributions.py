"""Compute how much less each neuron writes along a direction.

Yang et al. 2024 (arXiv 2411.06424v1), equation 1.
"""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.directions.subspaces import subspace_basis
from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.files.tables import write_table
from dpo_neurons.models.value_vectors import project_written_vectors, read_gains_after_mlp
from dpo_neurons.neurons.contributions import (
    IDENTITY_TOLERANCE,
    check_identity,
    compute_contributions,
    project_outputs,
    read_mlp_post_mean,
)
from dpo_neurons.neurons.groups import DEFINITIONS
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, compute, check the identity, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="safetensors")
    parser.add_argument("--definition", required=True, choices=DEFINITIONS, help="of the groups")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    basis = subspace_basis(read_direction(arguments.direction), arguments.direction)
    components_pre, norms_pre, biases_pre = project_written_vectors(
        arguments.checkpoint_pre, basis, arguments.direction
    )
    components_post, _, biases_post = project_written_vectors(
        arguments.checkpoint_post, basis, arguments.direction
    )
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        mlp_post_pre = read_mlp_post_mean(pre, components_pre.shape[1:])
        mlp_post_post = read_mlp_post_mean(post, components_post.shape[1:])
        n_layers = len(mlp_post_pre)
        output_drops = project_outputs(
            pre, basis, biases_pre, read_gains_after_mlp(arguments.checkpoint_pre, n_layers)
        ) - project_outputs(
            post, basis, biases_post, read_gains_after_mlp(arguments.checkpoint_post, n_layers)
        )
        dtypes = [read_attributes(cache)["dtype"] for cache in (pre, post)]
    table = compute_contributions(
        mlp_post_pre,
        mlp_post_post,
        components_pre,
        components_post,
        norms_pre,
        arguments.definition,
    )
    check_identity(
        table,
        output_drops,
        max(IDENTITY_TOLERANCE[dtype] for dtype in dtypes),
        (arguments.activations_pre, arguments.activations_post),
    )
    write_table(arguments.output, table)


if __name__ == "__main__":
    run_program(main)
