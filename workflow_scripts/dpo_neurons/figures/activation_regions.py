"""Figure 25: where in the residual stream the neuron nearest to the direction is active.

After the PCA picture of Lee et al. 2024 (arXiv 2401.01967). One panel per layer: x is a prompt's
stream along the mean shift; y is the stream along the main component orthogonal to that shift; both
are in the units of the residual stream. Colour is the neuron's mean activation on the prompt.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.residual_shift import ACROSS, thin_prompts
from dpo_neurons.figures.style import LayeredChart

COLUMNS = ("layer", "prompt", "stage", "along_shift", "beside_shift", "neuron", "mlp_post")
"""Columns of the file of prompts that are drawn."""
SHAPES = {"pre": ("before fine-tuning", "circle"), "post": ("after", "triangle-up")}
"""Name and mark of each checkpoint."""
PANELS_A_ROW = 2


def aggregate(prompts: pd.DataFrame) -> pd.DataFrame:
    """Thin the prompts evenly, and put both checkpoints' points of a prompt side by side.

    prompts: one row per layer, prompt and stage (pre, post), COLUMNS. Returns one row per layer and
    prompt: layer, prompt, neuron, and along, beside and mlp_post of each stage, as along_pre.
    """
    drawn = thin_prompts(prompts).rename(columns={"along_shift": "along", "beside_shift": "beside"})
    pairs = drawn.set_index(["layer", "prompt", "neuron", "stage"]).unstack("stage")
    pairs.columns = [f"{name}_{stage}" for name, stage in pairs.columns]
    return pairs.reset_index()


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.VConcatChart:
    """Draw one panel of prompts per layer; data: of `aggregate`."""
    reach = float(data[["mlp_post_pre", "mlp_post_post"]].abs().max().max()) or 1.0
    colour = alt.Scale(scheme="redblue", domain=[-reach, reach], reverse=True)
    panels = [
        _panel(rows, colour).properties(
            title=alt.Title(
                f"after block {layer}, coloured by its neuron {rows['neuron'].iloc[0]}",
                fontSize=13,
                fontWeight="normal",
                offset=6,
            )
        )
        for layer, rows in data.groupby("layer")
    ]
    figure: alt.VConcatChart = alt.vconcat(
        *(
            alt.hconcat(*panels[first : first + PANELS_A_ROW], spacing=30)
            for first in range(0, len(panels), PANELS_A_ROW)
        ),
        spacing=12,
        title=alt.Title(
            "Where in the residual stream a neuron is active",
            subtitle=[
                f"{model}: each line joins a prompt's stream before (circle) and after (triangle) "
                "fine-tuning.",
                f"Colour: activation of the layer's neuron nearest to the {direction_name} "
                "direction",
            ],
        ),
    )
    return figure


def _panel(data: pd.DataFrame, colour: alt.Scale) -> LayeredChart:
    """Draw the prompts of one layer."""
    scale = alt.Scale(zero=False, nice=False, padding=10)
    base = alt.Chart(data)
    points = [
        base.mark_point(filled=True, shape=shape, size=50, opacity=1, stroke="#303030").encode(
            x=alt.X(f"along_{stage}:Q", title="along the mean shift")
            .scale(scale)
            .axis(tickCount=4),
            y=alt.Y(f"beside_{stage}:Q", title=list(ACROSS)).scale(scale).axis(tickCount=4),
            color=alt.Color(f"mlp_post_{stage}:Q", title="activation", scale=colour),
            strokeWidth=alt.value(0.4),
            tooltip=[
                "prompt:Q",
                alt.Tooltip(f"mlp_post_{stage}:Q", title=label, format=".3g"),
            ],
        )
        for stage, (label, shape) in SHAPES.items()
    ]
    lines = base.mark_rule(color="#909090", strokeWidth=0.7, opacity=0.6).encode(
        x="along_pre:Q", y="beside_pre:Q", x2="along_post:Q", y2="beside_post:Q"
    )
    return alt.layer(lines, *points).properties(width=340, height=260)
