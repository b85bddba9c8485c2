"""Sum contributions by neuron group and layer, with intervals, cross-fitted too."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.groups import DEFINITIONS
from dpo_neurons.neurons.prompt_projections import open_contributions
from dpo_neurons.neurons.summaries import summarise_groups
from dpo_neurons.running.program import add_summary_arguments, log, run_program


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_summary_arguments(parser)
    parser.add_argument("--definition", choices=DEFINITIONS, required=True, help="of the groups")
    parser.add_argument("--output", type=Path, required=True, help="csv, a row a group")
    parser.add_argument("--layers", type=Path, required=True, help="csv, a row a layer and group")
    arguments = parser.parse_args()

    files = arguments.contributions, arguments.activations_pre, arguments.activations_post
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    with open_contributions(*files) as (table, pre, post):
        groups, layers = summarise_groups(table, pre, post, arguments.definition, *bootstrap)
    write_csv(arguments.output, groups)
    write_csv(arguments.layers, layers)
    log.info("\n%s", groups.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
