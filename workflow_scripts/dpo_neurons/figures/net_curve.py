"""Figure 8: the cumulative reduction with its interval.

Figure 1b of Yang et al. 2024 (arXiv 2411.06424v1), section 4.2, with an interval. x: number of
neurons summed up, largest reduction first. y: the sum of their reductions of projection on the unit
direction, in the units of the residual stream.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import LayeredChart

COLUMNS = ("neurons", "cumulative", "low", "high", "mark")
"""Columns of the net curve's file."""
MARKS = {"neurons_50": "50 %", "neurons_90": "90 %", "neurons_99": "99 %", "peak": "peak"}
"""Marks that are labelled below the curve. The net is labelled at its end."""


def aggregate(curve: pd.DataFrame) -> pd.DataFrame:
    """Add a label to the marked points of the curve, "" to the others.

    curve: one row per point, COLUMNS as in the net curve's file.
    """
    data = curve[list(COLUMNS)].copy()
    data["mark"] = data["mark"].fillna("")
    data["label"] = data["mark"].map(MARKS).fillna("")
    return data


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw the curve with its interval, and a line down from each mark."""
    n_neurons = int(data["neurons"].max())
    marked = data.drop_duplicates("mark").set_index("mark")
    peak, net = marked.loc["peak"], marked.loc["net"]
    x = alt.X("neurons:Q", title="neurons summed up, largest reduction first")
    x = x.axis(format=",d", tickCount=6, grid=False).scale(
        domain=[0, max(n_neurons, 1)], nice=False
    )
    y = alt.Y(
        "cumulative:Q", title=f"cumulative reduction of projection on {direction_name} direction"
    )
    lowest, highest = float(data["low"].min()), float(data["high"].max())
    room = 0.06 * ((highest - lowest) or 1.0)
    bottom = lowest - room if lowest < 0 else 0.0
    y = y.scale(domain=[bottom, max(highest, 0.0) + room], nice=False)
    values = [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("cumulative", "low", "high")]
    base = alt.Chart(data).encode(
        x=x, tooltip=[alt.Tooltip("neurons:Q", format=",d"), *values, "mark:N"]
    )
    named = base.transform_filter("datum.label != ''")
    at_net = base.transform_filter("datum.mark == 'net'")
    texts = [
        # Labels have different heights, because marks lie close together in concentrated effects.
        named.transform_filter(f"datum.mark == '{mark}'")
        .mark_text(align="left", dx=4, dy=-6 - 15 * place, color="#404040")
        .encode(y=alt.datum(0), text=alt.value(text))
        for place, (mark, text) in enumerate(_texts(marked).items())
    ]
    return alt.layer(
        base.mark_area(color="#B8B8B8", opacity=0.6).encode(y="low:Q", y2="high:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        named.mark_rule(color="#909090", strokeDash=[4, 4]).encode(
            y="cumulative:Q", y2=alt.datum(0)
        ),
        base.mark_line(color="#303030", strokeWidth=2).encode(y=y),
        named.mark_point(color="#303030", filled=True, size=50, opacity=1).encode(y="cumulative:Q"),
        at_net.mark_point(color="#303030", filled=True, size=70, opacity=1).encode(
            y="cumulative:Q"
        ),
        at_net.mark_text(align="left", dx=9).encode(
            y="cumulative:Q", text=alt.value(f"net {net['cumulative']:.4g}")
        ),
        *texts,
        title=alt.Title(
            "Net curve: the reduction summed up over neurons",
            subtitle=[
                f"{model}: the band is the interval over prompts, with the ranking held fixed;",
                f"peak {_with_interval(peak)}, net {_with_interval(net)}",
            ],
        ),
    ).properties(width=600, height=360)


def _texts(marked: pd.DataFrame) -> dict[str, str]:
    """Return the label of each mark: its name and number of neurons."""
    return {mark: f"{name}: {marked.loc[mark, 'neurons']:,}" for mark, name in MARKS.items()}


def _with_interval(point: pd.Series) -> str:
    """Format the sum at a point with its interval in brackets."""
    return f"{point['cumulative']:.4g} [{point['low']:.4g}, {point['high']:.4g}]"
