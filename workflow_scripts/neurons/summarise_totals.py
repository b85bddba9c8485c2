"""Sum the contributions of all neurons, and count reducing neurons."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.prompt_projections import open_contributions
from dpo_neurons.neurons.summaries import summarise_totals
from dpo_neurons.running.program import add_summary_arguments, log, run_program


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_summary_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv, one row per quantity")
    arguments = parser.parse_args()

    files = arguments.contributions, arguments.activations_pre, arguments.activations_post
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    with open_contributions(*files) as (table, pre, post):
        totals = summarise_totals(table, pre, post, *bootstrap)
    write_csv(arguments.output, totals)
    log.info("\n%s", totals.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
