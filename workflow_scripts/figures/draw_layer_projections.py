"""Draw figure 1a: each MLP layer's output projected on the direction, in three models.

Before fine-tuning, before fine-tuning with neurons ablated (if the study has that), and after.
"""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.directions.direction_files import read_stored_rows
from dpo_neurons.errors import InputError
from dpo_neurons.figures.style import ABLATED, AFTER, BEFORE, figure_arguments, write_figure
from dpo_neurons.running.program import run_program

STATES = {
    "before fine-tuning": (BEFORE, "circle", [1, 0]),
    "before, neurons ablated": (ABLATED, "triangle-up", [6, 3]),
    "after fine-tuning": (AFTER, "square", [2, 2]),
}
"""Colour, mark and dash of each of the three models, in the order of the legend."""


def aggregate(mlp_outputs: dict[str, np.ndarray], direction: np.ndarray) -> pd.DataFrame:
    """Project every layer's mean MLP output on the direction (v1, figure 1a).

    mlp_outputs: (n_layers, d_model) by name of the model; direction: (d_model,), of any length.
    Returns a row a model and layer: state, layer, projection (on the unit direction).
    """
    unit = direction.astype(np.float64) / np.linalg.norm(direction.astype(np.float64))
    rows = []
    for state, output in mlp_outputs.items():
        projection = output.astype(np.float64) @ unit
        rows.append(
            pd.DataFrame(
                {"state": state, "layer": np.arange(len(projection)), "projection": projection}
            )
        )
    return pd.concat(rows, ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.LayerChart:
    """Draw a line a model over the layers."""
    states = [state for state in STATES if state in set(data["state"])]
    colours, shapes, dashes = zip(*(STATES[state] for state in states), strict=True)
    legend = alt.Legend(title=None, symbolSize=90, symbolStrokeWidth=0)
    lines = alt.Chart(data).encode(
        x=alt.X("layer:O", title="MLP layer (first = 0)").axis(labelAngle=0, labelOverlap=True),
        y=alt.Y("projection:Q", title=f"projection on {direction_name} direction"),
        color=alt.Color("state:N", legend=legend).scale(domain=states, range=colours),
        tooltip=["state:N", "layer:O", alt.Tooltip("projection:Q", format=".4g")],
    )
    zero = alt.Chart().mark_rule(color="#707070").encode(y=alt.datum(0))
    dash = alt.StrokeDash("state:N", legend=None).scale(domain=states, range=dashes)
    shape = alt.Shape("state:N", legend=legend).scale(domain=states, range=shapes)
    return alt.layer(
        lines.mark_line(strokeWidth=2).encode(strokeDash=dash),
        zero,
        lines.mark_point(size=50, filled=True, opacity=1).encode(shape=shape),
        title=alt.Title(
            f"MLP layer outputs projected on the {direction_name} direction",
            subtitle=f"{model}: mean over prompts and generated tokens",
        ),
    ).properties(width=640, height=340)


def read_mlp_output(path: Path) -> np.ndarray:
    """Read the mean MLP outputs, (n_layers, d_model), of an activations file."""
    with open_cache(path, ("mlp_out_mean",)) as cache:
        return cache["mlp_out_mean"][:]


def main() -> None:
    """Read the activations files and the direction, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="activations h5, first model")
    parser.add_argument("--ablated", type=Path, help="the same under an ablation")
    parser.add_argument("--after", type=Path, required=True, help="activations h5, second model")
    parser.add_argument("--direction", type=Path, required=True, help="direction safetensors")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    direction = read_stored_rows(arguments.direction)[0]
    given = (arguments.before, arguments.ablated, arguments.after)
    paths = {state: path for state, path in zip(STATES, given, strict=True) if path}
    outputs = {state: read_mlp_output(path) for state, path in paths.items()}
    n_layers = len(outputs["before fine-tuning"])
    for state, output in outputs.items():
        if output.shape != (n_layers, len(direction)):
            raise InputError(
                f"{paths[state]}: MLP outputs of shape {output.shape} do not go with {n_layers} "
                f"layers and a direction of {len(direction)} dimensions; are all of one model?"
            )
    data = aggregate(outputs, direction)
    write_figure(chart(data, arguments.model, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
