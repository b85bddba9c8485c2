"""Sum the contributions of all neurons, with bootstrap intervals, and count those that reduce."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.prompt_projections import prompt_projections
from dpo_neurons.neurons.summaries import summarise_totals, total_sets
from dpo_neurons.running.program import log, run_program, summary_arguments


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    summary_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    how = arguments.resamples, arguments.level, arguments.seed
    table = read_contributions(arguments.contributions)
    sets = total_sets(table)
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        sides = (
            prompt_projections(table, pre, "pre", sets),
            prompt_projections(table, post, "post", sets),
        )
    totals = summarise_totals(table, *sides, *how)
    write_csv(arguments.output, totals)
    log.info("\n%s", totals.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
