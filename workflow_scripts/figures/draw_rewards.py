"""Draw figure 18: the rewards of preference pairs while a model is tuned."""

import argparse
from pathlib import Path

from dpo_neurons.figures.rewards import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the rewards, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rewards", type=Path, required=True, help="of train_dpo, CSV")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.rewards, COLUMNS))
    write_figure(chart(data, arguments.model), arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
