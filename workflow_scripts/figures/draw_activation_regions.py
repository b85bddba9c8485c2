"""Draw figure 25: where in the residual stream the neuron nearest to the direction is active."""

import argparse
from pathlib import Path

from dpo_neurons.figures.activation_regions import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the prompts' streams, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="csv of compare_residuals")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.prompts, COLUMNS))
    figure = chart(data, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
