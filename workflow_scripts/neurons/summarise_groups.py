"""Sum the contributions by neuron group, with bootstrap intervals of sums and shares."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.contributions import read_contributions, row_suffixes
from dpo_neurons.neurons.prompt_projections import prompt_projections
from dpo_neurons.neurons.summaries import group_sets, summarise_groups
from dpo_neurons.running.program import log, run_program, summary_arguments


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    summary_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    how = arguments.resamples, arguments.level, arguments.seed
    table = read_contributions(arguments.contributions)
    sets = group_sets(table)
    summaries = {}
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        for row in ("", *row_suffixes(table)):
            sides = (
                prompt_projections(table, pre, "pre", sets, row),
                prompt_projections(table, post, "post", sets, row),
            )
            summaries[row] = summarise_groups(table, *sides, *how, row)
    groups = summaries.pop("")
    for row, summary in summaries.items():
        for end in ("", "_low", "_high"):
            groups[f"reduction{row}{end}"] = summary[f"reduction{end}"]
    write_csv(arguments.output, groups)
    log.info("\n%s", groups.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
