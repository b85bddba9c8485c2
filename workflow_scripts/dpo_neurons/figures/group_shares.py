"""Figure 2a: shares of the four reducing groups in their joint reduction.

Yang et al. 2024 (arXiv 2411.06424v1), figure 2a, section 4.3. x: share of the joint reduction of
the four reducing groups, in per cent, with its bootstrap interval over prompts. y: neuron group.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import GROUP_LABEL_EXPR, LayeredChart, group_colour
from dpo_neurons.neurons.groups import REDUCING

COLUMNS = ("group", "neurons", "reduction", "share", "share_low", "share_high")
"""Columns of the groups file that are drawn."""


def aggregate(groups: pd.DataFrame) -> pd.DataFrame:
    """Select the four reducing groups, in the paper's order.

    groups: one row per group, COLUMNS as in the groups file. A missing group gets zeros, and so
    does a share that is undefined because nothing reduces.
    """
    reducing = groups.loc[groups["group"].isin(REDUCING), list(COLUMNS)]
    reducing = reducing.set_index("group").reindex(list(REDUCING))
    reducing = reducing.fillna(0.0).rename_axis("group").reset_index()
    return reducing.astype({"neurons": "int64"})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw one labelled bar per group, with its interval."""
    highest = float(data[["share", "share_high"]].max().max()) or 1.0
    base = alt.Chart(data).encode(
        y=alt.Y("group:N", title=None, sort=list(REDUCING)).axis(
            labelExpr=GROUP_LABEL_EXPR, labelFontSize=14, ticks=False, labelPadding=8
        ),
        tooltip=[
            "group:N",
            alt.Tooltip("neurons:Q", format=","),
            alt.Tooltip("reduction:Q", format=".4g"),
            alt.Tooltip("share:Q", format=".1%"),
            alt.Tooltip("share_low:Q", format=".1%"),
            alt.Tooltip("share_high:Q", format=".1%"),
        ],
    )
    share = alt.X("share:Q", title="share of the reduction by the four reducing groups (%)")
    share = share.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=6)
    share = share.scale(domain=[min(float(data["share_low"].min()), 0.0), highest * 1.02])
    beyond = alt.X("end:Q").scale(nice=False)
    labels = base.transform_calculate(
        end="max(datum.share, datum.share_high)",
        label="format(datum.share, '.1%') + ' · ' + format(datum.neurons, ',') + ' neurons'",
    )
    return alt.layer(
        base.mark_bar(height=30).encode(x=share, color=group_colour(data["group"], None)),
        base.mark_rule(strokeWidth=1.6).encode(x="share_low:Q", x2="share_high:Q"),
        base.mark_tick(thickness=1.6, size=12, color="black").encode(x="share_low:Q"),
        base.mark_tick(thickness=1.6, size=12, color="black").encode(x="share_high:Q"),
        labels.mark_text(align="left", dx=10).encode(x=beyond, text="label:N"),
        title=alt.Title(
            f"Reduction of projection on the {direction_name} direction by neuron group",
            subtitle=f"{model}: intervals from a bootstrap over prompts",
        ),
    ).properties(width=460, height=alt.Step(48))
