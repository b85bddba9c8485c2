"""Draw figures 2c, 5a and 5b: changes of single neurons as arrows."""

import argparse
from pathlib import Path

from dpo_neurons.figures.projection_shifts import (
    AGAINST,
    QUANTITIES,
    RANKINGS,
    aggregate,
    chart,
)
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--ranked-by", choices=RANKINGS, required=True, help="quantity of ranks")
    parser.add_argument("--first", type=int, required=True, help="first rank, from 1")
    parser.add_argument("--last", type=int, required=True, help="last rank, included")
    parser.add_argument("--quantity", choices=QUANTITIES, required=True, help="what shifts")
    parser.add_argument("--against", choices=AGAINST, required=True, help="the x axis")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()
    if not 1 <= arguments.first <= arguments.last:
        parser.error("--first must be at least 1 and --last at least --first")

    contributions = read_contributions(arguments.contributions)
    ranked_by, quantity = arguments.ranked_by, arguments.quantity
    data = aggregate(contributions, ranked_by, arguments.first, arguments.last, quantity)
    figure = chart(
        data, ranked_by, quantity, arguments.against, arguments.model, arguments.direction_name
    )
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
