"""Figures 2c, 5a and 5b: changes of single neurons as arrows.

Yang et al. 2024 (arXiv 2411.06424v1), figure 2c in section 4.3 and figures 5a and 5b in appendix C.
One panel per neuron group. Each arrow is a neuron, from before fine-tuning to after. x: rank of the
neuron or, as published, its value vector's cosine with the direction. y, on a symmetric log scale:
its mean projection on the unit direction (2c), in the units of the residual stream; or its mean
activation (5a and 5b), without unit.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import (
    LayeredChart,
    empty_figure,
    group_colour,
    order_groups,
    subscript_signs,
    symlog_scale,
)
from dpo_neurons.statistics.ranking import largest_indices

RANKINGS = {"reduction": "reduction", "cosine": "cosine with the direction"}
"""Quantities that may rank the neurons, with their names on the axis."""
QUANTITIES = ("projection", "activation")
"""Quantities of the neurons that may be drawn."""
AGAINST = ("rank", "cosine")
"""What may be drawn along the x axis."""


def aggregate(
    contributions: pd.DataFrame, ranked_by: str, first: int, last: int, quantity: str
) -> pd.DataFrame:
    """Select the neurons ranked `first` to `last`, both included.

    contributions: one row per neuron, as in the contributions file. ranked_by: one of RANKINGS;
    rank 1 is the largest. quantity: one of QUANTITIES. Returns one row per neuron in order of rank:
    rank, layer, neuron, group, cosine, before and after (the quantity before and after
    fine-tuning), reduction.
    """
    ranked = largest_indices(contributions[ranked_by].to_numpy(), last)
    chosen = contributions.iloc[ranked[first - 1 :]]
    return pd.DataFrame(
        {
            "rank": np.arange(first, first + len(chosen)),
            "layer": chosen["layer"].to_numpy(),
            "neuron": chosen["neuron"].to_numpy(),
            "group": chosen["group"].astype(str).to_numpy(),
            "cosine": chosen["cosine"].to_numpy(),
            "before": chosen[f"{quantity}_pre"].to_numpy(),
            "after": chosen[f"{quantity}_post"].to_numpy(),
            "reduction": chosen["reduction"].to_numpy(),
        }
    )


def chart(
    data: pd.DataFrame,
    ranked_by: str,
    quantity: str,
    against: str,
    model: str,
    direction_name: str,
) -> alt.TopLevelMixin:
    """Draw one panel per group, with the arrows of its neurons against their rank or cosine.

    data: of `aggregate`, with the same ranked_by and quantity. against: one of AGAINST.
    """
    along = f" on the {direction_name} direction" if quantity == "projection" else ""
    title = f"Shifts in {quantity}{along}"
    if data.empty:
        return empty_figure(title, f"{model}: it has fewer neurons than the first rank to draw.")
    groups = order_groups(data["group"])
    first, last = data["rank"].min(), data["rank"].max()
    upper, bottom = _x_axes(data, ranked_by, against)
    return alt.vconcat(
        *[
            _panel(data, groups, group, bottom if group == groups[-1] else upper)
            for group in groups
        ],
        spacing=6,
        title=alt.Title(
            f"{title}, neurons ranked {first:,}–{last:,} by {ranked_by}",
            subtitle=[
                f"{model}: each arrow is a neuron, from before fine-tuning to after;",
                f"mean {quantity}; each panel has a symmetric log scale of its own",
            ],
        ),
    )


def _x_axes(data: pd.DataFrame, ranked_by: str, against: str) -> tuple[alt.X, alt.X]:
    """Return the common x axis without labels, for upper panels, and with them, for the last."""
    low, high = data[against].min(), data[against].max()
    if against == "rank":
        title = f"neuron rank by {RANKINGS[ranked_by]} (1 = largest)"
        axis = alt.Axis(format=",d", tickMinStep=1, grid=False)
        margin = 1.0
    else:
        title = "cosine of the value vector with the direction, before fine-tuning"
        axis = alt.Axis(format="~g", grid=False, tickCount=10)
        margin = 0.02 * ((high - low) or 1.0)
    x = alt.X(f"{against}:Q", axis=axis, title=title)
    x = x.scale(domain=[float(low - margin), float(high + margin)], nice=False)
    upper = x.copy()
    upper["axis"] = alt.Axis(**{**axis.to_dict(), "labels": False})
    return upper.title(None), x


def _panel(data: pd.DataFrame, groups: list[str], group: str, x: alt.X) -> LayeredChart:
    """Draw the arrows of one group, from before (the tail) to after (the head)."""
    members = data[data["group"] == group]
    scale, axis = symlog_scale(members[["before", "after"]].to_numpy())
    level = alt.Y("before:Q", scale=scale, axis=axis, title=None)
    base = alt.Chart(members).encode(
        x=x,
        color=group_colour(groups, None),
        tooltip=[
            "rank:Q",
            "layer:Q",
            "neuron:Q",
            "group:N",
            alt.Tooltip("cosine:Q", format=".3f"),
            *[alt.Tooltip(f"{name}:Q", format=".4g") for name in ("before", "after", "reduction")],
        ],
    )
    heads = base.transform_calculate(way="datum.after < datum.before ? 'falls' : 'rises'")
    way = alt.Shape("way:N", legend=None)
    way = way.scale(domain=["falls", "rises"], range=["triangle-down", "triangle-up"])
    reduction = f"{members['reduction'].sum():.3g}".replace("-", "−")
    noun = "neuron" if len(members) == 1 else "neurons"
    title = f"{subscript_signs(group)}: {len(members):,} {noun}, reduction {reduction} in all"
    return alt.layer(
        base.mark_rule(strokeWidth=1.2).encode(y=level, y2="after:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        heads.mark_point(filled=True, size=14, opacity=1).encode(
            y=alt.Y("after:Q", scale=scale), shape=way
        ),
        title=alt.Title(title, fontSize=13, fontWeight="normal", offset=6),
    ).properties(width=840, height=130)
