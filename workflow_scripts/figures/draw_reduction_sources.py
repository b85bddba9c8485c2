"""Draw figure 13: how much of the reduction is due to changed weights, and how much to inputs."""

import argparse
from pathlib import Path

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import (
    GROUP_LABEL_EXPR,
    figure_arguments,
    order_groups,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

COLUMNS = (
    "by",
    "part",
    "neurons",
    "reduction",
    "from_value",
    "from_key",
    "from_inputs",
    "from_text",
)
SOURCES = {
    "value vector": "#7B3294",
    "key vector": "#E66101",
    "layers below": "#5E8C31",
    "other text": "#A9A9A9",
}
"""What changed, in the order in which the reduction is split, and its colour."""


def aggregate(sources: pd.DataFrame) -> pd.DataFrame:
    """What each source adds in each layer and each group, a row a bar segment.

    sources: the summary of the split. The inputs' part is divided into what comes from other text
    and the rest, from the layers below. Returns by, part, source, order, reduction, net (of all
    sources together).
    """
    kept = sources[sources["by"].isin(["layer", "group"])]
    parts = {
        "value vector": kept["from_value"],
        "key vector": kept["from_key"],
        "layers below": kept["from_inputs"] - kept["from_text"],
        "other text": kept["from_text"],
    }
    rows = [
        kept[["by", "part"]].assign(
            source=source, order=order, reduction=parts[source], net=kept["reduction"]
        )
        for order, source in enumerate(SOURCES)
    ]
    return pd.concat(rows, ignore_index=True).astype({"part": str})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.VConcatChart:
    """Draw stacks of the sources, signed, with the net of all: by layer, then by group."""
    layers, groups = data[data["by"] == "layer"], data[data["by"] == "group"]
    in_depth = sorted(layers["part"].unique(), key=int)
    by_layer = alt.X("part:O", title="MLP layer (first = 0)", sort=in_depth)
    by_group = alt.X("part:N", title="neuron group", sort=order_groups(groups["part"]))
    title = f"reduction of projection on {direction_name}"
    upper = _stacks(layers, by_layer.axis(labelAngle=0, labelOverlap=True), title)
    lower = _stacks(groups, by_group.axis(labelAngle=0, labelExpr=GROUP_LABEL_EXPR), title)
    return alt.vconcat(
        upper.properties(width=640, height=300),
        lower.properties(width=640, height=220),
        title=alt.Title(
            "Where the reduction comes from: changed weights or changed inputs",
            subtitle=f"{model}: positive = writes less along the direction; diamonds, the net",
        ),
        spacing=24,
    )


def _stacks(data: pd.DataFrame, x: alt.X, title: str) -> alt.LayerChart:
    base = alt.Chart(data).encode(x=x)
    colour = alt.Color("source:N", sort=list(SOURCES)).scale(
        domain=list(SOURCES), range=list(SOURCES.values())
    )
    bars = base.mark_bar().encode(
        y=alt.Y("reduction:Q", title=[title, "(positive = writes less along it)"]),
        color=colour.legend(title=None, symbolType="square"),
        order="order:O",
        tooltip=[
            alt.Tooltip("part:N", title="layer or group"),
            "source:N",
            alt.Tooltip("reduction:Q", format=".4g"),
            alt.Tooltip("net:Q", format=".4g"),
        ],
    )
    # The net stands in the row of every source: one of them is enough.
    net = base.transform_filter("datum.order == 0").encode(y="net:Q")
    return alt.layer(
        bars,
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        net.mark_point(
            shape="diamond", color="black", fill="white", size=70, opacity=1, strokeWidth=1.6
        ),
    )


def main() -> None:
    """Read the split's summary, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="csv by decompose_reductions")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.sources, COLUMNS))
    write_figure(chart(data, arguments.model, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
