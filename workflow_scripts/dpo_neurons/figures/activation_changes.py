"""Figure 10: changes of activation in each neuron group.

After the densities of Yang et al. (arXiv 2411.06424v3). Each panel shows a reducing group and its
mirror. x: change of mean activation by fine-tuning, without unit, on a symmetric log scale. y:
number of neurons in the bin.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.bins import bin_values
from dpo_neurons.figures.style import LayeredChart, group_colour, subscript_signs, symlog_scale
from dpo_neurons.neurons.change_correlations import change_of_activation
from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING, UNCHANGED

PAIRS = tuple((group, next(m for m in RAISING if m[:2] == group[:2])) for group in REDUCING)
"""Each reducing group with the raising one that mirrors it."""
BINS = 60
"""Number of bins over the whole width of the figure."""


def aggregate(contributions: pd.DataFrame, bins: int, constant: float) -> pd.DataFrame:
    """Count each group's neurons in bins of their change in activation.

    contributions: one row per neuron, as in the contributions file. Bins are equally wide on a
    symmetric log scale that is linear up to about `constant`; zero is an edge of two bins. Returns
    one row per group and bin that is not empty: group, low and high (the edges of the bin),
    neurons, share (of the group's neurons).
    """
    low, high = bin_values(change_of_activation(contributions).to_numpy(), bins, constant)
    groups = contributions["group"].astype("category").array
    rows = pd.DataFrame({"group": groups, "low": low, "high": high})
    data = rows.groupby(["group", "low", "high"], observed=True).size()
    data = data.reset_index(name="neurons").astype({"group": str})
    data = data[data["group"] != UNCHANGED].sort_values(["group", "low"], ignore_index=True)
    data["share"] = data["neurons"] / data.groupby("group")["neurons"].transform("sum")
    return data[["group", "low", "high", "neurons", "share"]]


def chart(
    data: pd.DataFrame, n_neurons: int, constant: float, model: str, direction_name: str
) -> alt.VConcatChart:
    """Draw a panel for each reducing group and its mirror.

    data: as aggregated, with the same constant; n_neurons: of the whole model, grouped or not.
    """
    scale, axis = symlog_scale(data[["low", "high"]].to_numpy(), constant)
    x = alt.X("low:Q", scale=scale, axis=axis, title=None)
    title = "change of mean activation, after − before (symmetric log)"
    grouped = int(data["neurons"].sum())
    panels = [
        _panel(data, pair, n_neurons, x if place < 2 else x.title(title))
        for place, pair in enumerate(PAIRS)
    ]
    return alt.vconcat(
        alt.hconcat(*panels[:2], spacing=30),
        alt.hconcat(*panels[2:], spacing=30),
        spacing=12,
        title=alt.Title(
            "Changes of activation by neuron group",
            subtitle=[
                f"{model}: each panel shows a group that reduces along the {direction_name} "
                "direction and, paler, its mirror;",
                f"bins are equally wide on this scale; {n_neurons - grouped:,} of {n_neurons:,} "
                "neurons are in no group",
            ],
        ),
    )


def _panel(data: pd.DataFrame, pair: tuple[str, str], n_neurons: int, x: alt.X) -> LayeredChart:
    """Draw the histograms of one pair of groups."""
    counts = [int(data.loc[data["group"] == group, "neurons"].sum()) for group in pair]
    shares = [
        f"{subscript_signs(group)} {count:,} ({count / max(n_neurons, 1):.1%})"
        for group, count in zip(pair, counts, strict=True)
    ]
    columns = alt.Chart(data[data["group"].isin(pair)]).encode(
        x=x,
        x2="high:Q",
        y=alt.Y("neurons:Q", title="neurons").axis(format=",~r", tickCount=4),
        y2=alt.datum(0),
        # All panels share one scale; otherwise each panel would change the colours of the others.
        color=group_colour(GROUPS, None),
        tooltip=[
            "group:N",
            alt.Tooltip("low:Q", format=".3g"),
            alt.Tooltip("high:Q", format=".3g"),
            alt.Tooltip("neurons:Q", format=","),
            alt.Tooltip("share:Q", format=".2%"),
        ],
    )
    zero = alt.Chart().mark_rule(color="#303030").encode(x=alt.datum(0))
    return alt.layer(
        columns.mark_rect(opacity=0.85, stroke="white", strokeWidth=0.3),
        zero,
        title=alt.Title(", ".join(shares), fontSize=13, fontWeight="normal", offset=6),
    ).properties(width=380, height=170)
