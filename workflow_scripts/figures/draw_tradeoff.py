"""Draw figure 6: toxicity against perplexity of every intervention."""

import argparse
from pathlib import Path

from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.tradeoff import COLUMNS, RANDOM_COLUMNS, aggregate, chart
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the table, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    parser.add_argument("--random-sets", type=Path, required=True, help="table csv of random sets")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(
        read_csv(arguments.table, COLUMNS),
        read_csv(arguments.random_sets, RANDOM_COLUMNS, may_be_empty=True),
    )
    write_figure(chart(data, arguments.model), arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
