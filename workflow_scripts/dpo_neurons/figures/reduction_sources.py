"""Figure 13: the reduction split into changed weights and changed inputs.

Not a figure of the papers. x: MLP layer, from 0, above; neuron group below. y: reduction of
projection on the unit direction, in the units of the residual stream, stacked by what changed.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import GROUP_LABEL_EXPR, LayeredChart, order_groups

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
"""Columns of the decomposition file that are drawn."""
SOURCES = {
    "value vector": "#7B3294",
    "key vector": "#E66101",
    "layers below": "#5E8C31",
    "other text": "#A9A9A9",
}
"""Colour of each source, in the order in which the reduction is split."""


def aggregate(sources: pd.DataFrame) -> pd.DataFrame:
    """List the reduction from each source in each layer and each group.

    sources: COLUMNS of the decomposition file. The part from inputs is divided into the part from
    other text and the part from the layers below. Returns by ("layer" or "group"), part (the layer
    or group), source, order (in the stack), reduction, net (of all sources together).
    """
    parted = sources[sources["by"].isin(["layer", "group"])]
    parts = {
        "value vector": parted["from_value"],
        "key vector": parted["from_key"],
        "layers below": parted["from_inputs"] - parted["from_text"],
        "other text": parted["from_text"],
    }
    rows = [
        parted[["by", "part"]].assign(
            source=source, order=order, reduction=parts[source], net=parted["reduction"]
        )
        for order, source in enumerate(SOURCES)
    ]
    return pd.concat(rows, ignore_index=True).astype({"part": str})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.VConcatChart:
    """Draw signed stacks of the sources and their net, by layer and by group."""
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
            subtitle=f"{model}: positive = writes less along the direction; diamonds: the net",
        ),
        spacing=24,
    )


def _stacks(data: pd.DataFrame, x: alt.X, title: str) -> LayeredChart:
    """Draw a stack of sources and a diamond at their net, for each part on the x axis."""
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
    # All sources of a part repeat its net, so the rows of one source are enough.
    net = base.transform_filter("datum.order == 0").encode(y="net:Q")
    return alt.layer(
        bars,
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        net.mark_point(
            shape="diamond", color="black", fill="white", size=70, opacity=1, strokeWidth=1.6
        ),
    )
