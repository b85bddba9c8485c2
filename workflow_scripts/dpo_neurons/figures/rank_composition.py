"""Figure 2b: the groups' shares of the reduction, by rank.

Yang et al. 2024 (arXiv 2411.06424v1), figure 2b, section 4.3. x: rank of neurons by reduction, in
bins; rank 1 is the largest. y: each group's share of the bin's reduction, in per cent.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import empty_figure, group_colour, group_legend, order_groups

COLUMNS = ["first_rank", "last_rank", "group", "neurons", "reduction", "share", "low", "high"]
"""Columns of the aggregated table."""


def aggregate(contributions: pd.DataFrame, top: int, bins: int) -> pd.DataFrame:
    """Split the reduction of each bin of ranks among the groups.

    contributions: one row per neuron, with columns rank, group and reduction. The first `top`
    ranks are cut into `bins` bins of equal width, fewer if there are fewer neurons. Only neurons
    that reduce count. Returns the COLUMNS, one row per bin and group: share of the bin's reduction,
    and low and high, the ends of the share in the stack.
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
    data["high"] = data.groupby(bin_of)["share"].cumsum()
    data["low"] = data["high"] - data["share"]
    return data.astype({"group": "str"})[COLUMNS]


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.TopLevelMixin:
    """Draw one stack of shares per bin of ranks."""
    if data.empty:
        return empty_figure(
            "Composition of the reduction",
            f"{model}: no neuron writes less along the {direction_name} direction.",
        )
    last = int(data["last_rank"].max()) if len(data) else 0
    bars = alt.Chart(data).transform_calculate(left="datum.first_rank - 1")
    figure: alt.Chart = (
        bars.mark_rect(stroke="white", strokeWidth=0.3)
        .encode(
            x=alt.X("left:Q", title="neuron rank by reduction (1 = largest)")
            .axis(format=",d", tickMinStep=1, tickCount=8)
            .scale(domain=[0, max(last, 1)], nice=False),
            x2="last_rank:Q",
            y=alt.Y("low:Q", title="share of the reduction in each bin of ranks (%)")
            .axis(labelExpr="format(datum.value * 100, '~r')")
            .scale(domain=[0, 1]),
            y2="high:Q",
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
        .properties(
            width=640,
            height=320,
            title=alt.Title(
                f"Composition of the reduction along the top {last:,} neurons",
                subtitle=[
                    f"{model}: reduction of projection on the {direction_name} direction,",
                    "only neurons that write less along it after fine-tuning",
                ],
            ),
        )
    )
    return figure
