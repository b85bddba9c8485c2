"""Compute how much less each neuron writes along a direction after fine-tuning (equation 1)."""

import argparse
from pathlib import Path

import numpy as np

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.directions.subspaces import subspace_basis
from dpo_neurons.errors import InputError
from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.files.tables import write_table
from dpo_neurons.models.value_vectors import project_values
from dpo_neurons.neurons.contributions import (
    IDENTITY_TOLERANCE,
    compute_contributions,
    identity_error,
    row_suffixes,
)
from dpo_neurons.neurons.groups import DEFINITIONS
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, compute, check the identity, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True)
    parser.add_argument("--definition", required=True, choices=DEFINITIONS)
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    basis = subspace_basis(read_direction(arguments.direction), arguments.direction)
    along_pre, norm_pre, biases_pre = project_values(
        arguments.checkpoint_pre, basis, arguments.direction
    )
    along_post, _, biases_post = project_values(
        arguments.checkpoint_post, basis, arguments.direction
    )
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        mean_pre, mean_post = pre["mlp_post_mean"][:], post["mlp_post_mean"][:]
        outputs_pre, outputs_post = (
            np.stack([cache["mlp_out_mean"][:] @ row for row in basis]) for cache in (pre, post)
        )
        tolerance = max(
            IDENTITY_TOLERANCE[read_attributes(cache)["dtype"]] for cache in (pre, post)
        )
    for stage, mean, along in (("pre", mean_pre, along_pre), ("post", mean_post, along_post)):
        if mean.shape != along.shape[1:]:
            raise InputError(
                f"{getattr(arguments, f'activations_{stage}')}: activations of {mean.shape} layers "
                f"and neurons, but the checkpoint has {along.shape[1:]}; capture them again"
            )
    table = compute_contributions(
        mean_pre, mean_post, along_pre, along_post, norm_pre, arguments.definition
    )
    drops = (outputs_pre - biases_pre) - (outputs_post - biases_post)
    if suffixes := row_suffixes(table):
        shift = table.attrs["shift_direction"]
        log.info("together the neurons moved along %s of the direction's rows", shift)
        drops = np.vstack([drops, shift @ drops])
    for row, drop in zip(suffixes or ("",), drops, strict=True):
        error = identity_error(table, drop, row)
        log.info("neurons add up to the drop of each MLP output within %.2g (relative)", error)
        if not error <= tolerance:
            raise InputError(
                f"{arguments.activations_pre}, {arguments.activations_post}: the neurons do not "
                f"add up to the MLP outputs (relative error {error:.2g}, allowed {tolerance:g}); "
                "they were captured from other checkpoints than these, so capture them again"
            )
    write_table(arguments.output, table)


if __name__ == "__main__":
    run_program(main)
