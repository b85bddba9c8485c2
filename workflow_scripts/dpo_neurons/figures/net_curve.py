"""Figure 8: the cumulative reduction with its interval.

Figure 1b of Yang et al. 2024 (arXiv 2411.06424v1), section 4.2, cross-fitted, with an interval. x:
number of neurons summed up, largest reduction on other prompts first. y: the sum of their
reductions of projection on the unit direction, in the units of the residual stream. The published
curve, not corrected for selection, is dashed.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import UNCORRECTED, LayeredChart
from dpo_neurons.neurons.cancellation import SHARES, count_until_share

COLUMNS = (
    "neurons",
    "cumulative",
    "mark",
    "crossfitted_neurons",
    "crossfitted",
    "crossfitted_low",
    "crossfitted_high",
)
"""Columns of the net curve's file."""
LABELS = {"neurons_50": "50 %", "neurons_90": "90 %", "neurons_99": "99 %", "peak": "peak"}
"""Marks that are labelled below the curve. The net is labelled at its end."""


def aggregate(curve: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop repeated points of the curve, and find the marked points of the cross-fitted one.

    curve: a row a point, COLUMNS as in the net curve's file. Returns the curve, and a row a mark:
    mark, crossfitted_neurons, crossfitted and its interval. The marks of shares of the peak lack
    unless the peak's interval lies above zero.
    """
    data = curve[list(COLUMNS)].drop_duplicates("neurons").drop(columns="mark")
    marks = curve.loc[curve["mark"].isin(["peak", "net"]), list(COLUMNS[2:])]
    peak = marks.set_index("mark").loc["peak"]
    if peak["crossfitted_low"] > 0:
        rising = data[data["crossfitted_neurons"] <= peak["crossfitted_neurons"]]
        places, sums = (rising[name].to_numpy() for name in COLUMNS[3:5])
        counts = [count_until_share(sums[None], places, share)[0][0] for share in SHARES.values()]
        carrying = pd.DataFrame({"mark": list(SHARES), "crossfitted_neurons": np.ceil(counts)})
        carrying["crossfitted"] = [share * sums[-1] for share in SHARES.values()]
        marks = pd.concat([carrying, marks], ignore_index=True)
    return data.reset_index(drop=True), marks.reset_index(drop=True)


def chart(data: pd.DataFrame, marks: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw the curve in its interval, with a line down from each mark.

    data, marks: as aggregated.
    """
    n_neurons = int(data["neurons"].max())
    marked = marks.set_index("mark")
    peak, net = marked.loc["peak"], marked.loc["net"]
    x = alt.X("crossfitted_neurons:Q", title="neurons summed up, largest reduction first")
    x = x.axis(format=",d", tickCount=6, grid=False).scale(
        domain=[0, max(n_neurons, 1)], nice=False
    )
    y = alt.Y(
        "crossfitted:Q", title=f"cumulative reduction of projection on {direction_name} direction"
    )
    drawn = data[["cumulative", "crossfitted_low", "crossfitted_high"]]
    lowest, highest = float(drawn.min().min()), float(drawn.max().max())
    room = 0.06 * ((highest - lowest) or 1.0)
    bottom = lowest - room if lowest < 0 else 0.0
    y = y.scale(domain=[bottom, max(highest, 0.0) + room], nice=False)
    values = [alt.Tooltip(f"{name}:Q", format=".4g") for name in COLUMNS[4:]]
    base = alt.Chart(data).encode(
        x=x, tooltip=[alt.Tooltip("crossfitted_neurons:Q", format=",.0f"), *values]
    )
    at_marks = alt.Chart(marks).encode(
        x=x, tooltip=["mark:N", alt.Tooltip("crossfitted_neurons:Q", format=",.0f"), *values]
    )
    named = at_marks.transform_filter("datum.mark != 'net'")
    at_net = at_marks.transform_filter("datum.mark == 'net'")
    texts = [
        # Labels have different heights, because marks lie close together in concentrated effects.
        # The wide white outline below each keeps the lines of later marks off it.
        named.transform_filter(f"datum.mark == '{mark}'")
        .mark_text(align="left", dx=5, dy=-11 - 16 * place, **outline)
        .encode(y=alt.datum(0), text=alt.value(text))
        for place, (mark, text) in enumerate(_texts(marked).items())
        for outline in ({"stroke": "white", "strokeWidth": 5}, {"color": "#404040"})
    ]
    return alt.layer(
        base.mark_area(color="#B8B8B8", opacity=0.6).encode(
            y="crossfitted_low:Q", y2="crossfitted_high:Q"
        ),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        named.mark_rule(color="#909090", strokeDash=[4, 4]).encode(
            y="crossfitted:Q", y2=alt.datum(0)
        ),
        base.mark_line(color=UNCORRECTED, strokeWidth=1.6, strokeDash=[5, 4]).encode(
            x="neurons:Q", y="cumulative:Q"
        ),
        base.mark_line(color="#303030", strokeWidth=2).encode(y=y),
        named.mark_point(color="#303030", filled=True, size=50, opacity=1).encode(
            y="crossfitted:Q"
        ),
        at_net.mark_point(color="#303030", filled=True, size=70, opacity=1).encode(
            y="crossfitted:Q"
        ),
        at_net.mark_text(align="left", dx=9).encode(
            y="crossfitted:Q", text=alt.value(f"net {net['crossfitted']:.4g}")
        ),
        *texts,
        title=alt.Title(
            "Net curve: the reduction summed up over neurons",
            subtitle=[
                f"{model}: neurons ranked on other prompts than those summed; band, interval over "
                "prompts;",
                f"peak {_with_interval(peak)}, net {_with_interval(net)}.",
                "Dashed grey: as published, ranked and summed on the same prompts, not corrected",
            ],
        ),
    ).properties(width=600, height=360)


def _texts(marked: pd.DataFrame) -> dict[str, str]:
    """Label of each mark: its name and number of neurons."""
    neurons = marked["crossfitted_neurons"]
    return {
        mark: f"{name}: {neurons[mark]:,.0f}" for mark, name in LABELS.items() if mark in neurons
    }


def _with_interval(point: pd.Series) -> str:
    """The sum at a point, its interval in brackets."""
    value, low, high = (f"{point[name]:.4g}" for name in COLUMNS[4:])
    return f"{value} [{low}, {high}]"
