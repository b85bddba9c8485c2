"""Split each neuron's reduction by what changed: value vector, keys or inputs."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import CROSSED_DATASETS, open_cache
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import write_csv, write_table
from dpo_neurons.models.value_vectors import project_written_vectors
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.decomposition import (
    COLUMNS,
    check_projections,
    count_differing_prompts,
    split_reductions,
    sum_sources,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, check that the files belong together, split, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    parser.add_argument("--checkpoint-pre", type=Path, required=True)
    parser.add_argument("--checkpoint-post", type=Path, required=True)
    parser.add_argument("--activations-pre", type=Path, required=True, help="HDF5")
    parser.add_argument("--activations-crossed", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--output", type=Path, required=True, help="parquet, one row per neuron")
    parser.add_argument("--summary-output", type=Path, required=True, help="csv, one row per sum")
    arguments = parser.parse_args()

    table = read_contributions(arguments.contributions)
    direction = read_direction(arguments.direction)[0]
    components_pre, _, _ = project_written_vectors(
        arguments.checkpoint_pre, direction, arguments.direction
    )
    components_post, _, _ = project_written_vectors(
        arguments.checkpoint_post, direction, arguments.direction
    )
    with (
        open_cache(arguments.activations_pre) as pre,
        open_cache(arguments.activations_crossed, CROSSED_DATASETS) as crossed,
    ):
        crossed_mean = crossed["mlp_post_mean"][:]
        same_text_mean = crossed["mlp_post_same_text_mean"][:]
        differing_prompts = count_differing_prompts(pre, crossed)
    if not crossed_mean.size == components_post.size == len(table):
        raise InputError(
            f"{arguments.activations_crossed}: {crossed_mean.size} neurons, but the contributions "
            f"have {len(table)} and the checkpoint {components_post.size}; capture them again"
        )
    check_projections(table, "pre", components_pre, arguments.contributions)
    check_projections(table, "post", components_post, arguments.contributions)
    if differing_prompts:
        log.warning(
            "%d prompts have other continuations than in %s, because rounding decided between two "
            "tokens; their parts from keys and from inputs are mixed",
            differing_prompts, arguments.activations_pre,
        )  # fmt: skip
    split = split_reductions(table, components_pre, components_post, crossed_mean, same_text_mean)
    summary = sum_sources(split)
    write_table(arguments.output, split[list(COLUMNS)])
    write_csv(arguments.summary_output, summary)
    log.info("\n%s", summary[summary["by"] != "layer"].to_string(index=False))


if __name__ == "__main__":
    run_program(main)
