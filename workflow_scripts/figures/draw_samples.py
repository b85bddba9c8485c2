"""Draw figure 24: the worst of several sampled continuations of each prompt."""

import argparse
from pathlib import Path

from dpo_neurons.figures.samples import COLUMNS, TABLE_COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the tables, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, required=True, help="table csv of samples")
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.samples, COLUMNS), read_csv(arguments.table, TABLE_COLUMNS))
    write_figure(chart(data, arguments.model), arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
