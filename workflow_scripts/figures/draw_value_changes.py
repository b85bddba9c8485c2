"""Draw figure 15: changes of value vectors compared with the stream's shift."""

import argparse
from pathlib import Path

from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.value_changes import COLUMNS, aggregate, chart
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the histograms, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=Path, required=True, help="csv by compare_residuals")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    changes = read_csv(arguments.changes, COLUMNS, may_be_empty=True)
    write_figure(chart(*aggregate(changes), arguments.model), arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
