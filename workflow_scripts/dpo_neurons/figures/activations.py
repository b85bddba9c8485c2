"""Figure 23: activations before and after fine-tuning, and what tells how they change.

After the densities and scatters of Yang et al. (arXiv 2411.06424v3). Above: x is a neuron's mean
activation, without unit, on a symmetric log scale; y is the share of neurons in the bin. Below: y
is the change of the mean activation; x is the cosine of the value vector with the direction, or the
mean activation before; colour is the number of neurons.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.bins import bin_values
from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart, median_size, symlog_scale
from dpo_neurons.neurons.change_correlations import (
    ALL_LAYERS,
    QUANTITIES,
    change_of_activation,
)

BINS = 40
"""Bins over the whole width or height of a panel."""
WIDTH = 370
"""Width of a panel, in pixels."""
SIDES = {"along": "neurons along the direction", "against": "neurons against it"}
STAGES = {"pre": ("before", BEFORE), "post": ("after", AFTER)}
"""Label and colour of each checkpoint."""
TITLES = {"cosine": "cosine with the direction", "activation_pre": "mean activation before"}
"""Title of the axis of each of the QUANTITIES."""
CHANGE = "change, after − before"


def aggregate_densities(contributions: pd.DataFrame, constant: float) -> pd.DataFrame:
    """Count neurons along and against the direction by their mean activations.

    contributions: one row per neuron. constant: up to about which the scale is linear. Returns one
    row per side (of SIDES), stage (pre, post) and bin that is not empty: low and high (the edges of
    the bin), share (of the side's neurons). Neurons orthogonal to the direction are left out.
    """
    long = contributions[["cosine"]].assign(
        **{stage: contributions[f"activation_{stage}"] for stage in STAGES}
    )
    long = long[long["cosine"] != 0].melt("cosine", list(STAGES), var_name="stage")
    long["side"] = np.where(long["cosine"] > 0, "along", "against")
    long["low"], long["high"] = bin_values(long["value"].to_numpy(), BINS, constant)
    counts = long.groupby(["side", "stage", "low", "high"]).size().reset_index(name="neurons")
    totals = counts.groupby(["side", "stage"])["neurons"].transform("sum")
    return counts.assign(share=counts["neurons"] / totals).drop(columns="neurons")


def aggregate_changes(contributions: pd.DataFrame, constants: dict[str, float]) -> pd.DataFrame:
    """Count neurons by the change of their mean activation and each of the QUANTITIES.

    contributions: one row per neuron. constants: of `scale_constants`. Returns one row per quantity
    and cell that is not empty: x_low, x_high, y_low, y_high (its edges), neurons.
    """
    change = change_of_activation(contributions).to_numpy()
    y_low, y_high = bin_values(change, BINS, constants["change"])
    cells = []
    for quantity in QUANTITIES:
        values = contributions[quantity].to_numpy()
        x_low, x_high = bin_values(values, BINS, constants.get(quantity))
        edges = pd.DataFrame({"x_low": x_low, "x_high": x_high, "y_low": y_low, "y_high": y_high})
        counts = edges.groupby(list(edges)).size().reset_index(name="neurons")
        cells.append(counts.assign(quantity=quantity))
    return pd.concat(cells, ignore_index=True)


def scale_constants(contributions: pd.DataFrame) -> dict[str, float]:
    """Return up to about what size the symmetric log scales are linear; cosines have none."""
    return {
        "change": median_size(change_of_activation(contributions).to_numpy()),
        "activation_pre": median_size(contributions["activation_pre"].to_numpy()),
    }


def chart(
    densities: pd.DataFrame,
    changes: pd.DataFrame,
    correlations: pd.DataFrame,
    constants: dict[str, float],
    model: str,
    direction_name: str,
) -> alt.VConcatChart:
    """Draw densities of activations above, and maps of their changes below.

    densities, changes: as aggregated, with the same constants. correlations: the table of
    `correlate_changes`, of which the rows of all layers are shown.
    """
    of_all = correlations[correlations["layer"] == ALL_LAYERS].set_index("quantity")["pearson"]
    scale, axis = symlog_scale(densities[["low", "high"]].to_numpy(), constants["activation_pre"])
    x = alt.X("low:Q", title="mean activation (symmetric log)", scale=scale, axis=axis)
    above = [
        _density(densities[densities["side"] == side], x).properties(
            title=alt.Title(title, fontSize=13, fontWeight="normal", offset=6)
        )
        for side, title in SIDES.items()
    ]
    below = [
        _map(changes[changes["quantity"] == quantity], quantity, constants).properties(
            title=alt.Title(
                f"Pearson r = {of_all[quantity]:.3f}".replace("-", "−"),
                fontSize=13,
                fontWeight="normal",
                offset=6,
            )
        )
        for quantity in QUANTITIES
    ]
    figure: alt.VConcatChart = alt.vconcat(
        alt.hconcat(*above, spacing=30).resolve_scale(y="shared"),
        alt.hconcat(*below, spacing=30),
        spacing=12,
        title=alt.Title(
            "Activations before and after fine-tuning, and their changes",
            subtitle=[
                f"{model}: {direction_name} direction. Above, the share of neurons by their mean "
                "activation, bars before and lines after;",
                "below, the number of neurons by change and by what might tell it",
            ],
        ),
    ).resolve_scale(color="independent")
    return figure


def _density(data: pd.DataFrame, x: alt.X) -> LayeredChart:
    """Draw both densities of one side: bars before, lines at their height after."""
    labels = {stage: label for stage, (label, _) in STAGES.items()}
    colours = [colour for _, colour in STAGES.values()]
    base = alt.Chart(data.assign(stage=data["stage"].map(labels))).encode(
        x=x,
        x2="high:Q",
        y=alt.Y("share:Q", title="share of neurons").axis(format="~%", tickCount=4),
        color=alt.Color("stage:N", title="fine-tuning").scale(
            domain=list(labels.values()), range=colours
        ),
        tooltip=[
            "stage:N",
            alt.Tooltip("low:Q", format=".3g"),
            alt.Tooltip("high:Q", format=".3g"),
            alt.Tooltip("share:Q", format=".2%"),
        ],
    )
    before, after = (
        base.transform_filter(f"datum.stage == '{label}'") for label in labels.values()
    )
    return alt.layer(
        before.encode(y2=alt.datum(0)).mark_rect(opacity=0.45),
        after.mark_rule(strokeWidth=2.5),
        alt.Chart().mark_rule(color="#303030").encode(x=alt.datum(0)),
    ).properties(width=WIDTH, height=170)


def _map(data: pd.DataFrame, quantity: str, constants: dict[str, float]) -> LayeredChart:
    """Draw the number of neurons by the change and one quantity."""
    y_scale, y_axis = symlog_scale(data[["y_low", "y_high"]].to_numpy(), constants["change"])
    x = alt.X("x_low:Q", title=TITLES[quantity]).axis(tickCount=5)
    if quantity in constants:
        scale, axis = symlog_scale(data[["x_low", "x_high"]].to_numpy(), constants[quantity])
        x = x.scale(scale).axis(axis)
    cells = alt.Chart(data).encode(
        x=x,
        x2="x_high:Q",
        y=alt.Y("y_low:Q", title=CHANGE, scale=y_scale, axis=y_axis),
        y2="y_high:Q",
        color=alt.Color("neurons:Q", title="neurons").scale(type="log", scheme="viridis"),
        tooltip=[
            *(
                alt.Tooltip(f"{name}:Q", format=".3g")
                for name in ("x_low", "x_high", "y_low", "y_high")
            ),
            alt.Tooltip("neurons:Q", format=","),
        ],
    )
    zeros = [
        alt.Chart().mark_rule(color="#303030").encode(x=alt.datum(0)),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
    ]
    return alt.layer(cells.mark_rect(), *zeros).properties(width=WIDTH, height=260)
