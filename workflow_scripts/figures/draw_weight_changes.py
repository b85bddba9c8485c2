"""Draw figure 19: how each matrix of a model changed."""

import argparse
from pathlib import Path

from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.weight_changes import COLUMNS, aggregate, chart
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the table of matrices, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=Path, required=True, help="csv by compare_weights")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.changes, COLUMNS))
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
