"""Draw figure 2a: the shares of the four reducing neuron groups, beside random directions'."""

import argparse
from pathlib import Path

from dpo_neurons.figures.group_shares import COLUMNS, RANDOM_COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the groups and what random directions give, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, help="groups csv")
    parser.add_argument("--random-directions", type=Path, required=True, help="csv of their sums")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(
        read_csv(arguments.groups, COLUMNS),
        read_csv(arguments.random_directions, RANDOM_COLUMNS),
    )
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
