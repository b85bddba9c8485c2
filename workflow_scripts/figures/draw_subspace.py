"""Draw figure 17: the reduction along each row of a direction with several rows."""

import argparse
from pathlib import Path

from dpo_neurons.errors import InputError
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.figures.subspace import aggregate, chart
from dpo_neurons.neurons.contributions import read_contributions, row_suffixes
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    contributions = read_contributions(arguments.contributions)
    if not row_suffixes(contributions):
        raise InputError(
            f"{arguments.contributions}: direction {arguments.direction_name} has a single row; "
            "draw figure 3 instead"
        )
    data = aggregate(contributions)
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
