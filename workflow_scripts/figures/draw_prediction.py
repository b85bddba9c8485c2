"""Draw figure 9: predicted reduction against measured change in toxicity."""

import argparse
from pathlib import Path

from dpo_neurons.figures.prediction import COLUMNS, CORRELATION_COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read predictions and correlations, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prediction", type=Path, required=True, help="prediction csv")
    parser.add_argument("--correlations", type=Path, required=True, help="correlations csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    prediction = read_csv(arguments.prediction, COLUMNS)
    correlations = read_csv(arguments.correlations, CORRELATION_COLUMNS)
    data = aggregate(prediction)
    left_out = len(prediction) - len(data)
    figure = chart(data, correlations, left_out, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
