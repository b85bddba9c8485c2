"""Draw figure 1b: the reduction summed up over neurons, from the largest to the smallest."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import figure_arguments, write_figure
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program

MAX_POINTS = 1000


def aggregate(contributions: pd.DataFrame) -> pd.DataFrame:
    """Sum up the reductions by rank (v1, figure 1b), thinned to at most about 1000 points.

    contributions: a row a neuron, columns rank and reduction. Returns neurons (how many of the
    first ranks), cumulative (their reductions' sum) and point: "peak", "net" (all neurons), or
    "". The curve starts at no neurons; peak and net are exact.
    """
    reduction = contributions.sort_values("rank")["reduction"].to_numpy(dtype=np.float64)
    cumulative = np.concatenate([[0.0], np.cumsum(reduction)])
    last, peak = len(cumulative) - 1, int(np.argmax(cumulative))
    kept = np.linspace(0, last, min(MAX_POINTS, last + 1)).round().astype(int)
    kept = np.union1d(kept, [peak])
    point = np.where(kept == peak, "peak", "").astype(object)
    curve = pd.DataFrame({"neurons": kept, "cumulative": cumulative[kept], "point": point})
    net = pd.DataFrame({"neurons": [last], "cumulative": [cumulative[last]], "point": ["net"]})
    return pd.concat([curve, net], ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.LayerChart:
    """Draw the curve, its peak and its end named with their values."""
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
                f"{model}: rising while neurons write less along the direction after fine-tuning,",
                "falling once the remaining ones write more",
            ],
        ),
    ).properties(width=600, height=340)


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_contributions(arguments.contributions))
    write_figure(chart(data, arguments.model, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
