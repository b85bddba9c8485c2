"""Draw figure 22: the shift along the direction split by features of a sparse autoencoder."""

import argparse
from pathlib import Path

from dpo_neurons.figures.feature_shifts import aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.feature_shifts import COLUMNS
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the split, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="csv")
    parser.add_argument("--direction-name", required=True)
    parser.add_argument("--autoencoder-name", required=True)
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.split, COLUMNS))
    names = arguments.model, arguments.direction_name, arguments.autoencoder_name
    write_figure(chart(data, *names), arguments.output_stem, arguments.vega)


if __name__ == "__main__":
    run_program(main)
