"""Draw figure 21: how probable given tokens become through the depth."""

import argparse
from pathlib import Path

from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.token_probabilities import COLUMNS, aggregate, chart
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the probabilities, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probabilities", type=Path, required=True, help="csv")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    figure = chart(aggregate(read_csv(arguments.probabilities, COLUMNS)), arguments.model)
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
