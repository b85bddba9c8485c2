"""Figure 1a: each MLP layer's output projected on the direction.

Yang et al. 2024 (arXiv 2411.06424v1), figure 1a, section 4.2. x: MLP layer, from 0. y: mean over
prompts and generated tokens of the layer's output times the unit direction, in the units of the
residual stream. One line per model: before fine-tuning, before with neurons ablated, after.
"""

from collections.abc import Mapping
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.errors import InputError
from dpo_neurons.figures.style import ABLATED, AFTER, BEFORE, LayeredChart

STATES = {
    "before fine-tuning": (BEFORE, "circle", [1, 0]),
    "before, neurons ablated": (ABLATED, "triangle-up", [6, 3]),
    "after fine-tuning": (AFTER, "square", [2, 2]),
}
"""Colour, mark and dash of each of the three models, in the order of the legend."""


def aggregate(mlp_outputs: Mapping[str, np.ndarray], direction: np.ndarray) -> pd.DataFrame:
    """Project the mean MLP output of every layer on the direction.

    mlp_outputs: (n_layers, d_model) for each model, by its name in STATES. direction: (d_model,),
    of any length. Returns one row per model and layer: state (the model's name), layer, projection
    (on the unit direction).
    """
    unit = direction.astype(np.float64) / np.linalg.norm(direction.astype(np.float64))
    rows = []
    for state, mlp_output in mlp_outputs.items():
        projection = mlp_output.astype(np.float64) @ unit
        rows.append(
            pd.DataFrame(
                {"state": state, "layer": np.arange(len(projection)), "projection": projection}
            )
        )
    return pd.concat(rows, ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw one line per model over the layers."""
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


def read_mlp_outputs(paths: Mapping[str, Path], d_model: int) -> dict[str, np.ndarray]:
    """Read mean MLP outputs, (n_layers, d_model) each, by state.

    Raises InputError for a file of another shape than the first, or of another d_model.
    """
    mlp_outputs: dict[str, np.ndarray] = {}
    for state, path in paths.items():
        with open_cache(path, ("mlp_out_mean",)) as cache:
            mlp_outputs[state] = cache["mlp_out_mean"][:]
        n_layers = len(next(iter(mlp_outputs.values())))
        if mlp_outputs[state].shape != (n_layers, d_model):
            raise InputError(
                f"{path}: MLP outputs of shape {mlp_outputs[state].shape} do not fit {n_layers} "
                f"layers and a direction of {d_model} dimensions; use files of one model"
            )
    return mlp_outputs
