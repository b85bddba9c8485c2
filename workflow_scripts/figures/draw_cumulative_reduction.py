"""Draw figure 1b: reductions summed up over neurons, largest first."""

import argparse
from pathlib import Path

from dpo_neurons.figures.cumulative_reduction import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the net curve, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", type=Path, required=True, help="net curve csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.curve, COLUMNS))
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
