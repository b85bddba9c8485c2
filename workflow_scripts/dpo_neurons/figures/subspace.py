"""Figure 17: the reduction along each row of a direction with several rows.

Not a figure of the papers. Left: x is the row of the direction. Right: x is the MLP layer, from 0.
y: reduction of projection on the row, in the units of the residual stream.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import group_colour, group_legend, order_groups
from dpo_neurons.neurons.contributions import row_suffixes

TOTAL = "in total"
"""Name of the direction in the subspace along which all neurons together moved."""
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
"""Colours of the rows; the total is black."""


def row_names(suffixes: tuple[str, ...]) -> list[str]:
    """Return the names of the rows in the figure: row 1, row 2, …, and TOTAL."""
    return [TOTAL if suffix == "_total" else f"row {suffix[1:]}" for suffix in suffixes]


def aggregate(contributions: pd.DataFrame) -> pd.DataFrame:
    """Sum the reductions along each row by layer and group.

    contributions: one row per neuron, with columns reduction_1 to reduction_k and reduction_total.
    Returns layer, group, row (name of the direction's row in the figure), reduction.
    """
    suffixes = row_suffixes(contributions)
    columns = [f"reduction{suffix}" for suffix in suffixes]
    keys = [contributions["layer"], contributions["group"].astype("category")]
    sums = contributions[columns].groupby(keys, observed=True).sum()
    sums.columns = pd.Index(row_names(suffixes), name="row")
    return sums.stack().rename("reduction").reset_index()


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.HConcatChart:
    """Draw one stack of groups per row of the direction, and each row's net by layer."""
    rows = list(dict.fromkeys(data["row"]))
    groups = order_groups(data["group"])
    by_group = data.groupby(["row", "group"], as_index=False)["reduction"].sum()
    by_group["order"] = by_group["group"].map(groups.index)
    net = data.groupby("row", as_index=False)["reduction"].sum()
    by_layer = data.groupby(["row", "layer"], as_index=False)["reduction"].sum()
    x = alt.X("row:N", sort=rows, title=None).axis(labelAngle=0)
    y = alt.Y("reduction:Q", title=["reduction of projection", "(positive = writes less along it)"])
    zero = alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0))
    stacks = alt.layer(
        alt.Chart(by_group)
        .mark_bar(size=34)
        .encode(
            x=x,
            y=y,
            color=group_colour(groups, group_legend()),
            order="order:O",
            tooltip=["row:N", "group:N", alt.Tooltip("reduction:Q", format=".4g")],
        ),
        zero,
        alt.Chart(net)
        .mark_point(color="black", fill="white", size=60, opacity=1, strokeWidth=1.8)
        .encode(x=x, y="reduction:Q", tooltip=["row:N", alt.Tooltip("reduction:Q", format=".4g")]),
    ).properties(width=90 * len(rows), height=340)
    colours = [PALETTE[number % len(PALETTE)] for number in range(len(rows) - 1)]
    lines = alt.layer(
        zero,
        alt.Chart(by_layer)
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:O", title="MLP layer (first = 0)").axis(labelAngle=0, labelOverlap=True),
            y=alt.Y("reduction:Q", title="net reduction of the layer"),
            color=alt.Color(
                "row:N",
                sort=rows,
                scale=alt.Scale(domain=rows, range=[*colours, "#000000"]),
                legend=alt.Legend(title=None, columns=4),
            ),
            tooltip=["row:N", "layer:O", alt.Tooltip("reduction:Q", format=".4g")],
        ),
    ).properties(width=360, height=340)
    figure: alt.HConcatChart = alt.hconcat(
        stacks,
        lines,
        spacing=40,
        title=alt.Title(
            f"Reduction along each row of {direction_name}",
            subtitle=f"{model}: bars: neuron groups; points and lines: the net of all neurons",
        ),
    ).resolve_scale(color="independent")
    return figure
