"""Draw figure 1a: each MLP layer's output projected on the direction.

The models: before fine-tuning, before it with neurons ablated (optional), and after it.
"""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_stored_rows
from dpo_neurons.figures.layer_projections import STATES, aggregate, chart, read_mlp_outputs
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the activations files and the direction, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="activations h5, first model")
    parser.add_argument("--ablated", type=Path, help="activations h5, first model, ablated")
    parser.add_argument("--after", type=Path, required=True, help="activations h5, second model")
    parser.add_argument("--direction", type=Path, required=True, help="direction safetensors")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    direction = read_stored_rows(arguments.direction)[0]
    files = (arguments.before, arguments.ablated, arguments.after)
    paths = {state: path for state, path in zip(STATES, files, strict=True) if path}
    data = aggregate(read_mlp_outputs(paths, len(direction)), direction)
    write_figure(
        chart(data, arguments.model, arguments.direction_name),
        arguments.output_stem,
        arguments.vega,
    )


if __name__ == "__main__":
    run_program(main)
