"""Draw figure 4: mean activations of the most toxic neurons."""

import argparse
from pathlib import Path

from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.top_activations import aggregate, chart
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--top", type=int, required=True, help="how many neurons (paper: 100)")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error("--top must be at least 1")

    data = aggregate(read_contributions(arguments.contributions), arguments.top)
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
