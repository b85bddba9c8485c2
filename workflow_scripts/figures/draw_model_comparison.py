"""Draw figure 16: shares of fine-tuning's effect, by model."""

import argparse
from pathlib import Path

from dpo_neurons.figures.model_comparison import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_output_argument, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the comparison, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparison", type=Path, required=True, help="comparison csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_output_argument(parser)
    arguments = parser.parse_args()

    comparison = read_csv(arguments.comparison, COLUMNS)
    shares, groups = aggregate(comparison)
    write_figure(
        chart(shares, groups, arguments.direction_name), arguments.output_stem, arguments.vega
    )


if __name__ == "__main__":
    run_program(main)
