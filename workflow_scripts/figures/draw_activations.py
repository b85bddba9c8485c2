"""Draw figure 23: activations before and after fine-tuning, and what tells how they change."""

import argparse
from pathlib import Path

from dpo_neurons.figures.activations import (
    aggregate_changes,
    aggregate_densities,
    chart,
    scale_constants,
)
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.change_correlations import COLUMNS
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read contributions and correlations, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--correlations", type=Path, required=True, help="of changes, csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    contributions = read_contributions(arguments.contributions)
    correlations = read_csv(arguments.correlations, COLUMNS, texts=["layer"])
    constants = scale_constants(contributions)
    figure = chart(
        aggregate_densities(contributions, constants["activation_pre"]),
        aggregate_changes(contributions, constants),
        correlations,
        constants,
        arguments.model,
        arguments.direction_name,
    )
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
