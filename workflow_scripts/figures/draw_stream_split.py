"""Draw figure 20: the shift of the residual stream split into attention and MLPs, by depth."""

import argparse
from pathlib import Path

from dpo_neurons.figures.stream_split import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the reductions of layers, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=Path, required=True, help="csv of split_stream_shift")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.layers, COLUMNS))
    figure = chart(data, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
