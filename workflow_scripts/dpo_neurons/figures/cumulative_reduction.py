"""Figure 1b: reductions summed up over neurons, largest first.

Yang et al. 2024 (arXiv 2411.06424v1), figure 1b, section 4.2, cross-fitted. x: number of neurons
summed up, ranked on other prompts than those summed. y: the sum of their reductions of projection
on the unit direction, in the units of the residual stream. The published curve, which ranks and
sums on the same prompts, is drawn beside it.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import UNCORRECTED, LayeredChart

COLUMNS = ("neurons", "cumulative", "mark", "crossfitted_neurons", "crossfitted")
"""Columns of the net curve's file that are drawn."""
CROSSFITTED, PUBLISHED = "cross-fitted", "as published, not corrected for selection"


def aggregate(curve: pd.DataFrame) -> pd.DataFrame:
    """List both curves: curve (which one), neurons, cumulative and point ("peak", "net" or "").

    curve: a row a point, COLUMNS as in the net curve's file.
    """
    named = curve["mark"].isin(["peak", "net"])
    others = curve[~named & ~curve["neurons"].isin(curve.loc[named, "neurons"])]
    curve = pd.concat([others.drop_duplicates("neurons").assign(mark=""), curve[named]])
    curve = curve.sort_values("neurons", kind="stable")
    point = curve["mark"].to_numpy()
    parts = [
        pd.DataFrame({"curve": name, "neurons": curve[x], "cumulative": curve[y], "point": point})
        for name, x, y in (
            (CROSSFITTED, "crossfitted_neurons", "crossfitted"),
            (PUBLISHED, "neurons", "cumulative"),
        )
    ]
    return pd.concat(parts, ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw both curves, with the values of their peaks and of their common end."""
    points = data[data["point"] != ""].set_index(["curve", "point"])
    peak, net = points.loc[(CROSSFITTED, "peak")], points.loc[(PUBLISHED, "net")]
    published = points.loc[(PUBLISHED, "peak")]
    share = published["neurons"] / max(net["neurons"], 1)
    top = max(float(data["cumulative"].max()), 0.0)
    highest = top + 0.15 * (top - min(float(data["cumulative"].min()), 0.0)) or 1.0
    base = alt.Chart(data).encode(
        x=alt.X("neurons:Q", title="neurons summed up, largest reduction first")
        .axis(format=",d", tickCount=6)
        .scale(domain=[0, max(int(net["neurons"]), 1)], nice=False),
        y=alt.Y(
            "cumulative:Q",
            title=f"cumulative reduction of projection on {direction_name} direction",
        ).scale(domainMax=highest),
        tooltip=[
            "curve:N",
            alt.Tooltip("neurons:Q", format=",.0f"),
            alt.Tooltip("cumulative:Q", format=".4g"),
        ],
    )
    legend = alt.Legend(title=None, symbolType="stroke", symbolSize=300)
    colour = alt.Color("curve:N", legend=legend).scale(
        domain=[CROSSFITTED, PUBLISHED], range=["#303030", UNCORRECTED]
    )
    dash = alt.StrokeDash("curve:N", legend=legend).scale(
        domain=[CROSSFITTED, PUBLISHED], range=[[1, 0], [5, 4]]
    )
    at_peaks = base.transform_filter("datum.point == 'peak'").encode(color=colour)
    at_net = base.transform_filter(f"datum.point == 'net' && datum.curve == '{PUBLISHED}'")
    texts = [
        at_peaks.transform_filter(f"datum.curve == '{name}'")
        .mark_text(dy=away)
        .encode(text=alt.value(text))
        for name, away, text in (
            (CROSSFITTED, 18, f"peak {peak['cumulative']:.4g}"),
            (
                PUBLISHED,
                -14,
                f"peak {published['cumulative']:.4g} at neuron {published['neurons']:,.0f} "
                f"({share:.1%})",
            ),
        )
    ]
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(color=colour, strokeDash=dash),
        at_peaks.mark_point(filled=True, size=70, opacity=1),
        at_net.mark_point(color="#303030", filled=True, size=70, opacity=1),
        at_net.mark_text(align="left", dx=9).encode(text=alt.value(f"net {net['cumulative']:.4g}")),
        *texts,
        title=alt.Title(
            "Cumulative reduction over neurons",
            subtitle=[
                f"{model}: rising while neurons write less along the direction after fine-tuning,",
                "falling once the remaining ones write more. Cross-fitted: ranked on other prompts",
                "than those that are summed",
            ],
        ),
    ).properties(width=600, height=340)
