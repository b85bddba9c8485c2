"""Rank neurons by their change on the same text, or by its effect size over prompts."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import CROSSED_DATASETS, open_cache, open_cache_pair
from dpo_neurons.files.tables import write_table
from dpo_neurons.neurons.rankings import (
    FROM_CACHES,
    change_on_same_text,
    effect_sizes,
    tabulate_ranking,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, rank, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by", required=True, choices=FROM_CACHES)
    for capture in ("pre", "post", "crossed"):
        parser.add_argument(f"--activations-{capture}", type=Path, required=True, help="HDF5")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    if arguments.by == "change":
        with (
            open_cache(arguments.activations_pre) as pre,
            open_cache(arguments.activations_crossed, CROSSED_DATASETS) as crossed,
        ):
            scores = change_on_same_text(pre, crossed)
    else:
        with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
            scores = effect_sizes(pre, post)
    write_table(arguments.output, tabulate_ranking(scores))
    log.info("%d neurons, the largest score %.4g", scores.size, scores.max())


if __name__ == "__main__":
    run_program(main)
