"""Figure 4: mean activations of the most toxic neurons.

Yang et al. 2024 (arXiv 2411.06424v1), figure 4, appendix B. x: rank of the neuron by the cosine of
its value vector with the direction. y: mean activation over prompts and generated tokens, without
unit, on a symmetric log scale.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart, empty_figure, symlog_scale
from dpo_neurons.statistics.ranking import largest_indices


def aggregate(contributions: pd.DataFrame, top: int) -> pd.DataFrame:
    """Select the `top` toxic neurons with the largest cosines with the direction.

    contributions: one row per neuron, as in the contributions file. A neuron is toxic if its cosine
    is positive. Returns one row per neuron: rank (1 = largest cosine), layer, neuron, cosine,
    before and after (mean activations before and after fine-tuning).
    """
    nearest = contributions.iloc[largest_indices(contributions["cosine"].to_numpy(), top)]
    chosen = nearest[nearest["cosine"] > 0]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(chosen) + 1),
            "layer": chosen["layer"].to_numpy(),
            "neuron": chosen["neuron"].to_numpy(),
            "cosine": chosen["cosine"].to_numpy(),
            "before": chosen["activation_pre"].to_numpy(),
            "after": chosen["activation_post"].to_numpy(),
        }
    )


def chart(data: pd.DataFrame, model: str, direction_name: str) -> LayeredChart:
    """Draw two joined points per neuron: before and after fine-tuning."""
    if data.empty:
        return empty_figure(
            "Activations of the top toxic neurons",
            f"{model}: no value vector points along the {direction_name} direction.",
        )
    scale, axis = symlog_scale(data[["before", "after"]].to_numpy())
    states = ["before", "after"]
    legend = alt.Legend(title=None, labelExpr="datum.label + ' fine-tuning'")
    values = [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("cosine", "before", "after")]
    base = alt.Chart(data).encode(
        x=alt.X("rank:Q", title=f"toxic neuron, by cosine with the {direction_name} direction")
        .axis(tickMinStep=1, format="d", grid=False)
        .scale(domain=[0.2, len(data) + 0.8], nice=False),
        tooltip=["rank:Q", "layer:Q", "neuron:Q", *values],
    )
    title = "mean activation (symmetric log scale)"
    level = alt.Y("before:Q", scale=scale, axis=axis, title=title)
    points = base.transform_fold([*states], as_=["state", "activation"]).encode(
        y="activation:Q",
        stroke=alt.Stroke("state:N", legend=legend).scale(domain=states, range=[BEFORE, AFTER]),
        shape=alt.Shape("state:N", legend=legend).scale(domain=states, range=["circle", "square"]),
        size=alt.Size("state:N", legend=legend).scale(domain=states, range=[60, 24]),
    )
    negative = int((data["before"] < 0).sum()), int((data["after"] < 0).sum())
    return alt.layer(
        base.mark_rule(color="#A0A0A0").encode(y=level, y2="after:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        points.mark_point(opacity=1, strokeWidth=1.8),
        title=alt.Title(
            f"Activations of the top {len(data):,} toxic neurons",
            subtitle=[
                f"{model}: mean over prompts and generated tokens;",
                f"negative before fine-tuning {negative[0]:,}, after {negative[1]:,}",
            ],
        ),
    ).properties(width=680, height=340)
