"""Figure 3: each layer's reduction by neuron group, and its net.

Yang et al. 2024 (arXiv 2411.06424v1), figure 3, section 4.3, cross-fitted. x: MLP layer, from 0.
y: reduction of projection on the unit direction, in the units of the residual stream, stacked by
group. The published sums, not corrected for selection, are marks beside the stacks. A beam is where
the layer's net lies along random directions.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import (
    UNCORRECTED,
    LayeredChart,
    group_colour,
    group_legend,
    order_groups,
)
from dpo_neurons.neurons.groups import GROUPS, REDUCING

COLUMNS = ("layer", "group", "neurons", "reduction", "crossfitted_reduction")
"""Columns of the file of layers and groups."""
RANDOM_COLUMNS = ("layer", "random_low", "random_high", "random_directions")
"""Columns of the file of random directions by layer that are drawn."""


def aggregate(
    layer_groups: pd.DataFrame, contributions: pd.DataFrame, random_directions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the order of the stack to sums by layer and group, and sum up each layer.

    layer_groups: a row a layer and group, COLUMNS as in their file. contributions: a row a neuron,
    columns layer and reduction. random_directions: a row a layer, RANDOM_COLUMNS as in their file.
    Returns two tables. The first has layer_groups and order. The second has a row a layer: layer,
    net (of all its neurons), reducing and raising (the published sums of the groups that reduce or
    raise), and RANDOM_COLUMNS.
    """
    data = layer_groups[list(COLUMNS)].copy()
    data["order"] = data["group"].map(order_groups(GROUPS).index)
    reduces = data["group"].isin(REDUCING)
    sums = {
        name: data[of_side].groupby("layer")["reduction"].sum()
        for name, of_side in (("reducing", reduces), ("raising", ~reduces))
    }
    net = contributions.groupby("layer")["reduction"].sum().rename("net")
    random = random_directions.set_index("layer")[list(RANDOM_COLUMNS[1:])]
    return data, pd.concat(
        [net, *(part.rename(name) for name, part in sums.items()), random], axis=1
    ).reset_index()


def chart(
    data: pd.DataFrame, layers: pd.DataFrame, model: str, direction_name: str
) -> LayeredChart:
    """Draw a stack a layer, reducing groups up and raising ones down, and the net as a line.

    data, layers: as aggregated.
    """
    x = alt.X("layer:O", title="MLP layer (first = 0)").axis(labelAngle=0, labelOverlap=True)
    bars = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y(
                "crossfitted_reduction:Q",
                title=[
                    f"reduction of projection on {direction_name} direction",
                    "(positive = writes less along it)",
                ],
            ),
            color=group_colour(data["group"], group_legend()),
            order="order:O",
            tooltip=[
                "layer:O",
                "group:N",
                "neurons:Q",
                alt.Tooltip("crossfitted_reduction:Q", format=".4g"),
                alt.Tooltip("reduction:Q", format=".4g"),
            ],
        )
    )
    names = ("net", "random_low", "random_high", "reducing", "raising")
    sums = [alt.Tooltip(f"{name}:Q", format=".4g") for name in names]
    of_layers = alt.Chart(layers).encode(x=x, tooltip=["layer:O", *sums])
    net = of_layers.encode(y="net:Q")
    random = of_layers.encode(y="random_low:Q", y2="random_high:Q")
    published = [
        of_layers.mark_tick(color=UNCORRECTED, thickness=1.6).encode(y=f"{side}:Q")
        for side in ("reducing", "raising")
    ]
    return alt.layer(
        bars,
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        *published,
        random.mark_bar(size=9, fill="#D9D9D9", stroke="white", strokeWidth=1.4),
        net.mark_line(color="white", strokeWidth=5),
        net.mark_line(color="black", strokeWidth=2),
        net.mark_point(color="black", fill="white", size=45, opacity=1, strokeWidth=1.6),
        title=alt.Title(
            "Reduction by layer and neuron group",
            subtitle=[
                f"{model}: black line, the net of all neurons of a layer; grey beams: the net "
                f"along {layers['random_directions'].iloc[0]:,} random directions.",
                "Neurons are grouped on other prompts than those summed; grey ticks: as published, "
                "not corrected for that",
            ],
        ),
    ).properties(width=640, height=380)
