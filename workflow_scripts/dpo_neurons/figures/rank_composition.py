"""Figure 2b: the groups' parts of the reduction, by rank.

Yang et al. 2024 (arXiv 2411.06424v1), figure 2b, section 4.3. x: rank of neurons by reduction, in
bins; rank 1 is the largest. y: above, as published, the sum of each group's reductions in the bin,
in the units of the residual stream; below, its share of the bin's reduction, in per cent.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import empty_figure, group_colour, group_legend, order_groups

COLUMNS = [
    "first_rank",
    "last_rank",
    "group",
    "neurons",
    "reduction",
    "reduction_low",
    "reduction_high",
    "share",
    "share_low",
    "share_high",
]
"""Columns of the aggregated table."""


def aggregate(contributions: pd.DataFrame, top: int, bins: int) -> pd.DataFrame:
    """Split the reduction of each bin of ranks among the groups.

    contributions: one row per neuron, with columns rank, group and reduction. The first `top`
    ranks are cut into `bins` bins of equal width, fewer if there are fewer neurons. Only neurons
    that reduce count. Returns the COLUMNS, one row per bin and group: the sum of reductions, its
    share of the bin's, and of both the ends in the bin's stack, _low and _high.
    """
    chosen = contributions[(contributions["rank"] <= top) & (contributions["reduction"] > 0)]
    if chosen.empty:
        return pd.DataFrame(columns=COLUMNS)
    last = int(chosen["rank"].max())
    edges = np.unique(np.linspace(0, last, bins + 1).round().astype(int))
    place = np.searchsorted(edges, chosen["rank"].to_numpy(), side="left")
    chosen = chosen.assign(
        first_rank=edges[place - 1] + 1,
        last_rank=edges[place],
        group=pd.Categorical(
            chosen["group"].astype(str), order_groups(chosen["group"].astype(str))
        ),
    )
    bin_of = ["first_rank", "last_rank"]
    data = (
        chosen.groupby([*bin_of, "group"], observed=True)["reduction"]
        .agg(neurons="size", reduction="sum")
        .reset_index()
    )
    data["share"] = data["reduction"] / data.groupby(bin_of)["reduction"].transform("sum")
    for part in ("reduction", "share"):
        data[f"{part}_high"] = data.groupby(bin_of)[part].cumsum()
        data[f"{part}_low"] = data[f"{part}_high"] - data[part]
    return data.astype({"group": "str"})[COLUMNS]


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.TopLevelMixin:
    """Draw one stack of groups per bin of ranks: of sums above, of shares below."""
    if data.empty:
        return empty_figure(
            "Composition of the reduction",
            f"{model}: no neuron writes less along the {direction_name} direction.",
        )
    last = int(data["last_rank"].max())
    x = alt.X("left:Q", title="neuron rank by reduction (1 = largest)")
    x = x.axis(format=",d", tickMinStep=1, tickCount=8).scale(domain=[0, last], nice=False)
    sums = alt.Y("reduction_low:Q", title=["sum of reductions", "in each bin of ranks"])
    shares = alt.Y("share_low:Q", title=["share of the reduction", "in each bin of ranks (%)"])
    shares = shares.axis(labelExpr="format(datum.value * 100, '~r')").scale(domain=[0, 1])
    bars = (
        alt.Chart(data)
        .transform_calculate(left="datum.first_rank - 1")
        .mark_rect(stroke="white", strokeWidth=0.3)
        .encode(
            x2="last_rank:Q",
            color=group_colour(data["group"], group_legend()),
            tooltip=[
                "first_rank:Q",
                "last_rank:Q",
                "group:N",
                "neurons:Q",
                alt.Tooltip("reduction:Q", format=".4g"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .properties(width=640, height=200)
    )
    return alt.vconcat(
        bars.encode(x=x.title(None), y=sums, y2="reduction_high:Q"),
        bars.encode(x=x, y=shares, y2="share_high:Q"),
        spacing=18,
        title=alt.Title(
            f"Composition of the reduction along the top {last:,} neurons",
            subtitle=[
                f"{model}: reduction of projection on the {direction_name} direction,",
                "only neurons that write less along it after fine-tuning",
            ],
        ),
    )
