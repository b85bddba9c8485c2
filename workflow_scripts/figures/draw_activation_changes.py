"""Draw figure 10: how far the activations of each group's neurons moved, and how many they are."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import (
    figure_arguments,
    group_colour,
    pretty_group,
    signed_log_scale,
    typical_size,
    write_figure,
)
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING, UNCHANGED
from dpo_neurons.running.program import run_program

PAIRS = tuple((group, next(m for m in RAISING if m[:2] == group[:2])) for group in REDUCING)
"""Each reducing group with the raising one that mirrors it."""
BINS = 60
"""Over the whole width of the figure."""


def changes(contributions: pd.DataFrame) -> np.ndarray:
    """Each neuron's mean activation after fine-tuning minus that before, (n,)."""
    return (contributions["activation_post"] - contributions["activation_pre"]).to_numpy()


def aggregate(contributions: pd.DataFrame, bins: int, constant: float) -> pd.DataFrame:
    """Count each group's neurons in bins of their change in activation.

    Bins are equally wide on a symmetric log scale that is linear up to about `constant`, and zero
    is the edge of two. Returns a row a group and bin that holds any: group, low and high (the
    bin), neurons, share (of the group's neurons).
    """
    change = changes(contributions)
    places = np.sign(change) * np.log1p(np.abs(change) / constant)
    lowest, highest = places.min(initial=0.0), places.max(initial=0.0)
    width = (highest - lowest) / bins or 1.0
    which = np.floor(places / width).astype(int)
    # A change on the upper end of the last bin belongs into it.
    which = np.minimum(which, max(int(np.ceil(highest / width)) - 1, 0))
    rows = pd.DataFrame({"group": contributions["group"].astype("category").array, "bin": which})
    data = rows.groupby(["group", "bin"], observed=True).size()
    data = data.reset_index(name="neurons").astype({"group": str})
    data = data[data["group"] != UNCHANGED].sort_values(["group", "bin"], ignore_index=True)
    for end, edge in (("low", data["bin"]), ("high", data["bin"] + 1)):
        data[end] = np.sign(edge) * np.expm1(np.abs(edge) * width) * constant
    data["share"] = data["neurons"] / data.groupby("group")["neurons"].transform("sum")
    return data[["group", "low", "high", "neurons", "share"]]


def chart(
    data: pd.DataFrame, every: int, constant: float, model: str, direction_name: str
) -> alt.VConcatChart:
    """Draw a panel a reducing group and its mirror, with their counts of `every` neurons."""
    scale, axis = signed_log_scale(data[["low", "high"]].to_numpy(), constant)
    x = alt.X("low:Q", scale=scale, axis=axis, title=None)
    title = "change of mean activation, after − before (symmetric log)"
    grouped = int(data["neurons"].sum())
    panels = [
        _densities(data, pair, every, x if place < 2 else x.title(title))
        for place, pair in enumerate(PAIRS)
    ]
    return alt.vconcat(
        alt.hconcat(*panels[:2], spacing=30),
        alt.hconcat(*panels[2:], spacing=30),
        spacing=12,
        title=alt.Title(
            "Changes of activation by neuron group",
            subtitle=[
                f"{model}: each panel a group that reduces along the {direction_name} direction "
                "and, paler, its mirror;",
                f"columns are equally wide on this scale; {every - grouped:,} of {every:,} neurons "
                "are in no group",
            ],
        ),
    )


def _densities(data: pd.DataFrame, pair: tuple[str, str], every: int, x: alt.X) -> alt.LayerChart:
    counts = [int(data.loc[data["group"] == group, "neurons"].sum()) for group in pair]
    shares = [
        f"{pretty_group(group)} {count:,} ({count / max(every, 1):.1%})"
        for group, count in zip(pair, counts, strict=True)
    ]
    columns = alt.Chart(data[data["group"].isin(pair)]).encode(
        x=x,
        x2="high:Q",
        y=alt.Y("neurons:Q", title="neurons").axis(format=",~r", tickCount=4),
        y2=alt.datum(0),
        # One scale for all panels, or each would rename the others' colours.
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


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    contributions = read_contributions(arguments.contributions)
    constant = typical_size(changes(contributions))
    data = aggregate(contributions, BINS, constant)
    every = len(contributions)
    figure = chart(data, every, constant, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
