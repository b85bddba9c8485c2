"""Draw figure 13: the reduction split into changed weights and changed inputs."""

import argparse
from pathlib import Path

from dpo_neurons.figures.reduction_sources import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the split's summary, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="csv by decompose_reductions")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.sources, COLUMNS))
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
