"""Draw figure 3: each layer's reduction by neuron group, and its net."""

import argparse
from pathlib import Path

from dpo_neurons.figures.layer_reduction import COLUMNS, RANDOM_COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read sums by layer and group and the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer-groups", type=Path, required=True, help="layers and groups csv")
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--random-directions", type=Path, required=True, help="csv, by layer")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data, layers = aggregate(
        read_csv(arguments.layer_groups, COLUMNS),
        read_contributions(arguments.contributions),
        read_csv(arguments.random_directions, RANDOM_COLUMNS),
    )
    figure = chart(data, layers, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
