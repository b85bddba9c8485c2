"""Draw figure 10: changes of activation in each neuron group."""

import argparse
from pathlib import Path

from dpo_neurons.figures.activation_changes import BINS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, median_size, write_figure
from dpo_neurons.neurons.change_correlations import change_of_activation
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    contributions = read_contributions(arguments.contributions)
    constant = median_size(change_of_activation(contributions).to_numpy())
    data = aggregate(contributions, BINS, constant)
    names = (arguments.model, arguments.direction_name)
    write_figure(
        chart(data, len(contributions), constant, *names), arguments.output_stem, arguments.vega
    )


if __name__ == "__main__":
    run_program(main)
