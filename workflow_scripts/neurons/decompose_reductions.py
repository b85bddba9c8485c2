"""Split each neuron's reduction: changed value vector, changed key vector, or changed inputs."""

import argparse
from pathlib import Path

import h5py
import numpy as np

from dpo_neurons.activations.cache import CROSSED_DATASETS, open_cache
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import write_csv, write_table
from dpo_neurons.models.value_vectors import project_values
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.decomposition import COLUMNS, split_reductions, sum_sources
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, check that the files belong together, split, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True)
    parser.add_argument("--checkpoint-pre", type=Path, required=True)
    parser.add_argument("--checkpoint-post", type=Path, required=True)
    parser.add_argument("--activations-pre", type=Path, required=True)
    parser.add_argument("--activations-crossed", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="parquet, a row a neuron")
    parser.add_argument("--summary-output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    table = read_contributions(arguments.contributions)
    direction = read_direction(arguments.direction)[0]
    along_pre, _, _ = project_values(arguments.checkpoint_pre, direction, arguments.direction)
    along_post, _, _ = project_values(arguments.checkpoint_post, direction, arguments.direction)
    with (
        open_cache(arguments.activations_pre) as pre,
        open_cache(arguments.activations_crossed, CROSSED_DATASETS) as crossed,
    ):
        between, same_text = crossed["mlp_post_mean"][:], crossed["mlp_post_same_text_mean"][:]
        differ = prompts_that_differ(pre, crossed)
    if not between.size == along_post.size == len(table):
        raise InputError(
            f"{arguments.activations_crossed}: {between.size} neurons, but the contributions have "
            f"{len(table)} and the checkpoint {along_post.size}; capture them again"
        )
    for stage, along in (("pre", along_pre), ("post", along_post)):
        again = table[f"activation_{stage}"].to_numpy() * along.ravel()
        if not np.allclose(again, table[f"projection_{stage}"], rtol=1e-6, atol=1e-12):
            raise InputError(
                f"{arguments.contributions}: not those of the {stage} checkpoint and direction "
                "given; compute them again"
            )
    if differ:
        log.warning(
            "%d prompts were continued otherwise than in %s: rounding decided between two tokens; "
            "their parts from keys and inputs mix",
            differ, arguments.activations_pre,
        )  # fmt: skip
    split = split_reductions(table, along_pre, along_post, between, same_text)
    summary = sum_sources(split)
    write_table(arguments.output, split[list(COLUMNS)])
    write_csv(arguments.summary_output, summary)
    log.info("\n%s", summary[summary["by"] != "layer"].to_string(index=False))


def prompts_that_differ(one: h5py.File, other: h5py.File) -> int:
    """How many prompts two captures of one checkpoint continued with different tokens.

    Raises InputError if they are of different prompts or numbers of tokens.
    """
    masks = one["mask"][:], other["mask"][:]
    if masks[0].shape != masks[1].shape:
        raise InputError(
            f"{other.filename}: captured on {masks[1].shape} prompts and tokens, but "
            f"{one.filename} on {masks[0].shape}; capture both again"
        )
    differs = (one["tokens"][:] != other["tokens"][:]) & (masks[0] | masks[1])
    return int((differs | (masks[0] != masks[1])).any(axis=1).sum())


if __name__ == "__main__":
    run_program(main)
