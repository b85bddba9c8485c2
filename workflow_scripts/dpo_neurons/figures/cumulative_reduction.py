"""Figure 1b: reductions summed up over neurons, largest first.

Yang et al. 2024 (arXiv 2411.06424v1), figure 1b, section 4.2. x: number of neurons summed up.
y: the sum of their reductions of projection on the unit direction, in the units of the residual
stream.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import LayeredChart

MAX_POINTS = 1000
"""Number of points of the drawn curve, without peak and net."""


def aggregate(contributions: pd.DataFrame) -> pd.DataFrame:
    """Sum up the reductions by rank, thinned to about MAX_POINTS points.

    contributions: one row per neuron, with columns rank and reduction. Returns neurons (the number
    of ranks summed up, from 0), cumulative (the sum of their reductions) and point: "peak", "net"
    (all neurons) or "". Peak and net are exact.
    """
    reduction = contributions.sort_values("rank")["reduction"].to_numpy(dtype=np.float64)
    cumulative = np.concatenate([[0.0], np.cumsum(reduction)])
    last, peak = len(cumulative) - 1, int(np.argmax(cumulative))
    counts = np.linspace(0, last, min(MAX_POINTS, last + 1)).round().astype(int)
    counts = np.union1d(counts, [peak])
    point = np.where(counts == peak, "peak", "").astype(object)
    curve = pd.DataFrame({"neurons": counts, "cumulative": cumulative[counts], "point": point})
    net = pd.DataFrame({"neurons": [last], "cumulative": [cumulative[last]], "point": ["net"]})
    return pd.concat([curve, net], ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw the curve, with the values of its peak and its end."""
    peak = data[data["point"] == "peak"].iloc[0]
    net = data[data["point"] == "net"].iloc[0]
    share = peak["neurons"] / max(net["neurons"], 1)
    highest = peak["cumulative"] + 0.15 * (peak["cumulative"] - min(net["cumulative"], 0)) or 1.0
    base = alt.Chart(data).encode(
        x=alt.X("neurons:Q", title="neurons summed up, largest reduction first")
        .axis(format=",d", tickCount=6)
        .scale(domain=[0, int(net["neurons"])], nice=False),
        y=alt.Y(
            "cumulative:Q",
            title=f"cumulative reduction of projection on {direction_name} direction",
        ).scale(domainMax=highest),
        tooltip=[
            alt.Tooltip("neurons:Q", format=",d"),
            alt.Tooltip("cumulative:Q", format=".4g"),
        ],
    )
    at_peak = base.transform_filter("datum.point == 'peak'")
    at_net = base.transform_filter("datum.point == 'net'")
    peak_text = f"peak {peak['cumulative']:.4g} at neuron {peak['neurons']:,} ({share:.1%})"
    return alt.layer(
        base.mark_line(color="#303030", strokeWidth=2),
        at_peak.mark_rule(color="#909090", strokeDash=[4, 4]).encode(y2=alt.datum(0)),
        at_peak.mark_point(color="#303030", filled=True, size=70, opacity=1),
        at_peak.mark_text(dy=-14).encode(text=alt.value(peak_text)),
        at_net.mark_point(color="#303030", filled=True, size=70, opacity=1),
        at_net.mark_text(align="left", dx=9).encode(text=alt.value(f"net {net['cumulative']:.4g}")),
        title=alt.Title(
            "Cumulative reduction over neurons",
            subtitle=[
                f"{model}: the curve rises over neurons that write less along the direction after",
                "fine-tuning, and falls over neurons that write more",
            ],
        ),
    ).properties(width=600, height=340)
