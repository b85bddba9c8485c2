"""Figure 2a: shares of the four reducing groups in their joint reduction.

Yang et al. 2024 (arXiv 2411.06424v1), figure 2a, section 4.3, cross-fitted. x: share of the joint
reduction of the four reducing groups, in per cent, with its bootstrap interval over prompts.
y: neuron group. Below it is the published share, not corrected for selection, on the band of the
same share along random directions.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import (
    GROUP_LABEL_EXPR,
    UNCORRECTED,
    LayeredChart,
    group_colour,
)
from dpo_neurons.neurons.groups import REDUCING

SHARE = ("crossfitted_share", "crossfitted_share_low", "crossfitted_share_high")
COLUMNS = ("group", "neurons", "reduction", "share", "crossfitted_reduction", *SHARE)
"""Columns of the groups file that are drawn."""
RANDOM_COLUMNS = ("quantity", "random_low", "random_high", "random_directions")
"""Columns of the file of random directions that are drawn."""
BAND = "#D9D9D9"
"""Colour of random directions."""
BAR, BELOW = -7, 15
"""Where in a group's line the bar and the published share are, in pixels below its middle."""


def aggregate(groups: pd.DataFrame, random_directions: pd.DataFrame) -> pd.DataFrame:
    """Select the four reducing groups, in the paper's order, and add their random shares.

    groups: a row a group, COLUMNS as in the groups file. A missing group has neither neurons nor a
    share. Cross-fitted shares are NaN unless the interval of the joint reduction is above zero.
    random_directions: a row a quantity, RANDOM_COLUMNS as in their file. Their shares are made as
    the published one is: neurons are grouped and summed on the same prompts.
    """
    reducing = groups.loc[groups["group"].isin(REDUCING), list(COLUMNS)]
    reducing = reducing.set_index("group").reindex(list(REDUCING))
    sums = ["neurons", "reduction", "share", "crossfitted_reduction"]
    reducing[sums] = reducing[sums].fillna(0.0)
    random = random_directions.set_index("quantity")
    for column in RANDOM_COLUMNS[1:]:
        reducing[column] = [random.loc[f"share_{group}", column] for group in reducing.index]
    reducing = reducing.rename_axis("group").reset_index()
    return reducing.astype({"neurons": "int64", "random_directions": "int64"})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw a bar a group with its interval, labelled with share and number of neurons."""
    ends = [*SHARE, "share", "random_low", "random_high"]
    lowest = min(float(data[ends].min().min()), 0.0)
    highest = max(float(data[ends].max().max()), 0.0) or 1.0
    base = alt.Chart(data).encode(
        y=alt.Y("group:N", title=None, sort=list(REDUCING)).axis(
            labelExpr=GROUP_LABEL_EXPR, labelFontSize=14, ticks=False, labelPadding=8
        ),
        tooltip=[
            "group:N",
            alt.Tooltip("neurons:Q", format=","),
            *(alt.Tooltip(f"{name}:Q", format=".4g") for name in COLUMNS if "reduction" in name),
            *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ends),
        ],
    )
    share = alt.X("crossfitted_share:Q", title="share of the reduction by the four groups (%)")
    share = share.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=6)
    share = share.scale(domain=[lowest, highest * 1.02])
    defined = base.transform_filter("isValid(datum.crossfitted_share)")
    labels = base.transform_calculate(
        end="isValid(datum.crossfitted_share) ? datum.crossfitted_share_high : 0",
        label="(isValid(datum.crossfitted_share) ? format(datum.crossfitted_share, '.1%') : "
        "'undefined') + ' · ' + format(datum.neurons, ',') + ' neurons'",
    )
    low, high = (f"{SHARE[0]}_{end}:Q" for end in ("low", "high"))
    return alt.layer(
        defined.mark_bar(height=22, yOffset=BAR).encode(
            x=share, color=group_colour(data["group"], None)
        ),
        defined.mark_rule(strokeWidth=1.6, yOffset=BAR, y2Offset=BAR).encode(x=low, x2=high),
        defined.mark_tick(thickness=1.6, size=12, color="black", yOffset=BAR).encode(x=low),
        defined.mark_tick(thickness=1.6, size=12, color="black", yOffset=BAR).encode(x=high),
        base.mark_bar(height=9, color=BAND, yOffset=BELOW).encode(
            x="random_low:Q", x2="random_high:Q"
        ),
        base.mark_point(
            shape="diamond", fill="white", stroke=UNCORRECTED, size=70, opacity=1, yOffset=BELOW
        ).encode(x="share:Q"),
        labels.mark_text(align="left", dx=12, dy=BAR).encode(
            x=alt.X("end:Q").scale(nice=False), text="label:N"
        ),
        title=alt.Title(
            f"Reduction of projection on the {direction_name} direction by neuron group",
            subtitle=[
                f"{model}: neurons grouped on other prompts than those summed, with intervals over "
                "prompts;",
                "diamonds: as published, grouped and summed on the same prompts, not corrected;",
                f"bands: the same along {data['random_directions'].iloc[0]:,} random directions; a "
                "share within its band is that of any direction",
            ],
        ),
    ).properties(width=460, height=alt.Step(54))
