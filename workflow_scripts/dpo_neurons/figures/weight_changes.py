"""Figure 19: how each matrix changed, by layer and matrix.

Not a figure of the papers. x: layer, with the matrices of no layer at the left; y: matrix; colour:
size of the change, its effective rank, how much of it is in the first singular component, and how
nearly that component lies along the direction.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import LayeredChart, empty_figure

COLUMNS = (
    "layer",
    "part",
    "matrix",
    "relative_change",
    "effective_rank",
    "share_1",
    "share_10",
    "cosine",
    "cosine_by_chance",
)
"""Columns of the file of weight changes."""
MEASURES = {
    "relative_change": "change, relative to the matrix",
    "effective_rank": "effective rank of the change",
    "share_1": "share of the first singular component",
    "beyond_chance": "cosine with the direction ÷ chance",
}
"""Title of each panel."""
PARTS = ("embedding", "attention", "keys", "values")
"""Parts with matrices, in the order in which they are drawn."""
NO_LAYER = "–"
"""The layer of a matrix in no layer, on the axis."""
TITLE = "What changed in the weights"


def aggregate(changes: pd.DataFrame) -> pd.DataFrame:
    """Arrange the matrices that changed: one row each, with the columns of MEASURES.

    changes: COLUMNS as in the file. beyond_chance is the cosine divided by its mean for a random
    vector. Sorted by part, matrix and layer.
    """
    data = changes.loc[changes["relative_change"] > 0, list(COLUMNS)].copy()
    data["beyond_chance"] = data["cosine"] / data["cosine_by_chance"]
    data["layer_name"] = np.where(data["layer"] < 0, NO_LAYER, data["layer"].astype(str))
    data["part"] = pd.Categorical(data["part"], PARTS, ordered=True)
    data = data.sort_values(["part", "matrix", "layer"], ignore_index=True)
    return data.astype({"part": str})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.ConcatChart | LayeredChart:
    """Draw a map of matrices by layers for each measure.

    data: of `aggregate`.
    """
    if data.empty:
        return empty_figure(f"{TITLE} of {model}", "no matrix changed")
    panels = [_map(data, measure, title) for measure, title in MEASURES.items()]
    figure: alt.ConcatChart = alt.concat(
        *panels,
        columns=2,
        title=alt.Title(
            TITLE,
            subtitle=f"{model}: matrices before and after fine-tuning; direction: {direction_name}",
        ),
        spacing=24,
    ).resolve_scale(color="independent")
    return figure


def _map(data: pd.DataFrame, measure: str, title: str) -> alt.Chart:
    layers = sorted(data["layer"].unique())
    names = [NO_LAYER if layer < 0 else str(layer) for layer in layers]
    matrices = list(dict.fromkeys(data["matrix"]))
    drawn: alt.Chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("layer_name:N", title="layer", sort=names).axis(
                labelAngle=0, labelOverlap=True, domain=False
            ),
            y=alt.Y("matrix:N", title=None, sort=matrices).axis(domain=False),
            color=alt.Color(f"{measure}:Q", title=None)
            .scale(scheme="viridis", zero=True)
            .legend(orient="right", direction="vertical", gradientLength=100, tickCount=4),
            tooltip=[
                "matrix:N",
                "part:N",
                alt.Tooltip("layer_name:N", title="layer"),
                *(alt.Tooltip(f"{column}:Q", format=".3g") for column in (*MEASURES, "share_10")),
            ],
        )
        .properties(
            width=max(150, min(340, 24 * len(names))),
            height=20 * len(matrices),
            title=alt.Title(title, fontSize=13, offset=6),
        )
    )
    return drawn
