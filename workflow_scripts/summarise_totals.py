"""Sum the contributions of all neurons, with bootstrap intervals, and count those that reduce."""

import argparse
from pathlib import Path

from dpo_neurons.activation_cache import open_cache
from dpo_neurons.contributions import read_contributions
from dpo_neurons.output_files import whole_file
from dpo_neurons.program import log, run_program
from dpo_neurons.prompt_projections import prompt_projections
from dpo_neurons.totals import summarise_totals, total_sets


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True)
    parser.add_argument("--activations-pre", type=Path, required=True)
    parser.add_argument("--activations-post", type=Path, required=True)
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--level", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    how = arguments.resamples, arguments.level, arguments.seed
    table = read_contributions(arguments.contributions)
    sets = total_sets(table)
    with (
        open_cache(arguments.activations_pre) as pre,
        open_cache(arguments.activations_post) as post,
    ):
        sides = (
            prompt_projections(table, pre, "pre", sets),
            prompt_projections(table, post, "post", sets),
        )
    totals = summarise_totals(table, *sides, *how)
    with whole_file(arguments.output) as partial:
        totals.to_csv(partial, index=False)
    log.info("\n%s", totals.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
