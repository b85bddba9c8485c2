"""Draw figure 14: the shift of the residual stream, by prompt and by layer."""

import argparse
from pathlib import Path

from dpo_neurons.figures.residual_shift import LAYER_COLUMNS, PROMPT_COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read prompts and layers, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="csv by compare_residuals")
    parser.add_argument("--layers", type=Path, required=True, help="csv by compare_residuals")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    prompts = read_csv(arguments.prompts, PROMPT_COLUMNS)
    layers = read_csv(arguments.layers, LAYER_COLUMNS)
    write_figure(
        chart(*aggregate(prompts, layers), arguments.model), arguments.output_stem, arguments.vega
    )


if __name__ == "__main__":
    run_program(main)
