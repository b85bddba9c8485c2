"""Figure 3: each layer's reduction by neuron group, and its net.

Yang et al. 2024 (arXiv 2411.06424v1), figure 3, section 4.3. x: MLP layer, from 0. y: reduction of
projection on the unit direction, in the units of the residual stream, stacked by group.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import LayeredChart, group_colour, group_legend, order_groups
from dpo_neurons.neurons.groups import GROUPS, UNCHANGED


def aggregate(contributions: pd.DataFrame) -> pd.DataFrame:
    """Sum the reductions by layer and group.

    contributions: one row per neuron, with columns layer, group and reduction. Returns one row per
    layer and group: layer, group, neurons, reduction, order (in the stack). Groups without neurons
    have zeros. Unchanged neurons have rows only if they reduce or raise anything.
    """
    keys = [contributions["layer"], contributions["group"].astype("category")]
    by_group = contributions["reduction"].groupby(keys, observed=True)
    sums = by_group.agg(neurons="size", reduction="sum")
    unchanged = sums[sums.index.get_level_values("group") == UNCHANGED]
    groups = order_groups([*GROUPS, UNCHANGED] if unchanged["reduction"].any() else GROUPS)
    layers = sorted(contributions["layer"].unique())
    layers_and_groups = pd.MultiIndex.from_product([layers, groups], names=["layer", "group"])
    data = sums.reindex(layers_and_groups, fill_value=0).reset_index()
    data["order"] = data["group"].map(groups.index)
    return data


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw one stack of groups per layer, and the net."""
    base = alt.Chart(data).encode(
        x=alt.X("layer:O", title="MLP layer (first = 0)").axis(labelAngle=0, labelOverlap=True)
    )
    bars = base.mark_bar().encode(
        y=alt.Y(
            "reduction:Q",
            title=[
                f"reduction of projection on {direction_name} direction",
                "(positive = writes less along it)",
            ],
        ),
        color=group_colour(data["group"], group_legend()),
        order="order:O",
        tooltip=["layer:O", "group:N", "neurons:Q", alt.Tooltip("reduction:Q", format=".4g")],
    )
    net = base.transform_aggregate(net="sum(reduction)", groupby=["layer"]).encode(
        y="net:Q", tooltip=["layer:O", alt.Tooltip("net:Q", format=".4g")]
    )
    return alt.layer(
        bars,
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        net.mark_line(color="white", strokeWidth=5),
        net.mark_line(color="black", strokeWidth=2),
        net.mark_point(color="black", fill="white", size=45, opacity=1, strokeWidth=1.6),
        title=alt.Title(
            "Reduction by layer and neuron group",
            subtitle=f"{model}: the black line is the net of all neurons of a layer",
        ),
    ).properties(width=640, height=380)
