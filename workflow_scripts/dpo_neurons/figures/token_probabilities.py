"""Figure 21: how probable given tokens become through the depth, before and after fine-tuning.

After Lee et al. 2024 (arXiv 2401.01967). x: layer, from 0; its attention, then its MLP. y: mean
over prompts of the tokens' summed probability to come next, were the model to end there.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart

COLUMNS = ("stage", "layer", "after", "probability", "probability_low", "probability_high")
"""Columns of the file of token probabilities."""
STAGES = {"pre": "before fine-tuning", "post": "after fine-tuning"}
DEPTHS = {"attention": 0.0, "mlp": 0.5}
"""Where a half layer is drawn, from its layer on."""


def aggregate(probabilities: pd.DataFrame) -> pd.DataFrame:
    """Name the models and place the half layers; probabilities: COLUMNS as in their file."""
    return probabilities[list(COLUMNS)].assign(
        model=probabilities["stage"].map(STAGES),
        depth=probabilities["layer"] + probabilities["after"].map(DEPTHS),
    )


def chart(data: pd.DataFrame, model: str) -> LayeredChart:
    """Draw a line for each model, with its interval over prompts."""
    colour = alt.Color("model:N", title=None, sort=list(STAGES.values())).scale(
        domain=list(STAGES.values()), range=[BEFORE, AFTER]
    )
    base = alt.Chart(data).encode(
        x=alt.X("depth:Q", title="layer (first = 0), after attention and after MLP").axis(
            tickMinStep=1, format="d"
        ),
        color=colour,
    )
    band = base.mark_area(opacity=0.2).encode(
        y=alt.Y("probability_low:Q", title="probability of the tokens to come next"),
        y2="probability_high:Q",
    )
    line = base.mark_line(point=True).encode(
        y="probability:Q",
        tooltip=[
            "model:N",
            "layer:O",
            "after:N",
            *(alt.Tooltip(f"{name}:Q", format=".3g") for name in COLUMNS[3:]),
        ],
    )
    return alt.layer(
        band,
        line,
        title=alt.Title(
            "Given tokens through the depth",
            subtitle=[
                f"{model}: mean over challenge prompts of the tokens' summed probability,",
                "if the stream went through the final norm and the unembedding right there",
            ],
        ),
    ).properties(width=640, height=320)
