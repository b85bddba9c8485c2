"""Compute how much less each neuron writes along a direction after fine-tuning (equation 1)."""

import argparse
from pathlib import Path

from dpo_neurons.activation_cache import open_cache
from dpo_neurons.contributions import IDENTITY_TOLERANCE, contributions, identity_error
from dpo_neurons.directions import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.groups import DEFINITIONS
from dpo_neurons.output_files import whole_file
from dpo_neurons.program import log, run_program
from dpo_neurons.value_vectors import project_values


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

    direction = read_direction(arguments.direction)[0]
    along_pre, norm_pre, bias_pre = project_values(
        arguments.checkpoint_pre, direction, arguments.direction
    )
    along_post, _, bias_post = project_values(
        arguments.checkpoint_post, direction, arguments.direction
    )
    with (
        open_cache(arguments.activations_pre) as pre,
        open_cache(arguments.activations_post) as post,
    ):
        mean_pre, mean_post = pre["mean"][:], post["mean"][:]
        outputs = pre["mlp_output"][:] @ direction, post["mlp_output"][:] @ direction
        tolerance = max(IDENTITY_TOLERANCE[cache.attrs["dtype"]] for cache in (pre, post))
    for stage, mean, along in (("pre", mean_pre, along_pre), ("post", mean_post, along_post)):
        if mean.shape != along.shape:
            raise InputError(
                f"{getattr(arguments, f'activations_{stage}')}: activations of {mean.shape} layers "
                f"and neurons, but the checkpoint has {along.shape}; capture them again"
            )
    table = contributions(
        mean_pre, mean_post, along_pre, along_post, norm_pre, arguments.definition
    )
    error = identity_error(table, (outputs[0] - bias_pre) - (outputs[1] - bias_post))
    log.info("neurons add up to the drop of each MLP output within %.2g (relative)", error)
    if not error <= tolerance:
        raise InputError(
            f"{arguments.activations_pre}, {arguments.activations_post}: the neurons do not add up "
            f"to the MLP outputs (relative error {error:.2g}, allowed {tolerance:g}); they were "
            "captured from other checkpoints than these, so capture them again"
        )
    with whole_file(arguments.output) as partial:
        table.to_parquet(partial, index=False)


if __name__ == "__main__":
    run_program(main)
