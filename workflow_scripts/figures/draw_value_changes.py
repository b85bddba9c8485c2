"""Draw figure 15: whether changed value vectors point along the shift of the residual stream."""

import argparse
from pathlib import Path

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

COLUMNS = (
    "layer",
    "shift_layer",
    "activation",
    "cosine_low",
    "cosine_high",
    "neurons",
    "written",
)
SIGNS = {"negative": "#2166AC", "positive": "#B2182B"}
"""Sign of a neuron's mean activation after fine-tuning, and its colour."""
NONE = "#440154"
"""Viridis' colour of no neuron."""


def aggregate(changes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Histograms of cosines with a late layer's shift, and what the changes write along it.

    changes: histograms as compare_residuals counts them. The late layer is the one that several
    layers are compared with; where there is none, the last. Returns histograms (layer, activation,
    cosine_low, cosine_high, neurons, share of the layer's changed neurons) and sums (layer,
    activation, written, shift_layer).
    """
    compared = changes[changes["activation"].isin(list(SIGNS))]
    counts = compared.groupby("shift_layer")["layer"].nunique()
    late = counts[counts == counts.max()].index.max()
    kept = compared[compared["shift_layer"] == late].copy()
    kept["share"] = kept["neurons"] / kept.groupby("layer")["neurons"].transform("sum")
    sums = kept.groupby(["layer", "shift_layer", "activation"])["written"].sum().reset_index()
    return kept.drop(columns=["written", "shift_layer"]), sums


def chart(counts: pd.DataFrame, sums: pd.DataFrame, model: str) -> alt.VConcatChart:
    """Draw a map of cosines by layer for either sign of the activation, and the sums below.

    Where fine-tuning left all value vectors as they were, the chart says so.
    """
    title = "Changes of value vectors against the shift of the residual stream"
    if sums.empty:
        told = alt.Chart().mark_text(fontSize=14).encode(text=alt.value("no value vector changed"))
        empty = told.properties(width=500, height=60, title=alt.Title(title, subtitle=model))
        return alt.vconcat(empty)
    late = sums["shift_layer"].iloc[0]
    scale = alt.Scale(scheme="viridis", type="sqrt", domain=[0, float(counts["share"].max())])
    reach = float(counts[["cosine_low", "cosine_high"]].abs().max().max())
    deepest_first = sorted(counts["layer"].unique(), reverse=True)
    maps = [
        alt.Chart(counts[counts["activation"] == sign])
        .mark_rect()
        .encode(
            x=alt.X("cosine_low:Q", title="cosine of its value vector's change with the shift")
            .scale(domain=[-reach, reach], nice=False)
            .axis(tickCount=5, grid=False),
            x2="cosine_high:Q",
            y=alt.Y("layer:O", title="MLP layer").axis(labelOverlap=True, domain=False)
            .scale(domain=deepest_first),
            color=alt.Color("share:Q", title="share of the layer's changed neurons", scale=scale)
            .legend(format=".1%", gradientLength=240),
            tooltip=["layer:O", "cosine_low:Q", "cosine_high:Q", "neurons:Q",
                     alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(
            width=310,
            height=max(130, 14 * len(deepest_first)),
            title=alt.Title(f"mean activation {sign}", fontSize=13, offset=6),
            view=alt.ViewBackground(fill=NONE),
        )
        for sign in SIGNS
    ]  # fmt: skip
    bars = (
        alt.Chart(sums)
        .mark_bar()
        .encode(
            x=alt.X("layer:O", title="MLP layer (first = 0)").axis(labelAngle=0, labelOverlap=True),
            y=alt.Y("written:Q", title=["written along the shift", "(1 = its length)"]),
            xOffset=alt.XOffset("activation:N").scale(domain=list(SIGNS)),
            color=alt.Color("activation:N", title="mean activation")
            .scale(domain=list(SIGNS), range=list(SIGNS.values())),
            tooltip=["layer:O", "activation:N", alt.Tooltip("written:Q", format=".3g")],
        )
        .properties(width=690, height=170)
    )  # fmt: skip
    zero = alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0))
    return alt.vconcat(
        alt.hconcat(*maps, spacing=20),
        alt.layer(bars, zero),
        title=alt.Title(
            title,
            subtitle=[
                f"{model}: the shift is that after block {late}. A change against it (left) of a"
                " neuron with a",
                "negative activation writes along it, as does a change along it (right) of a"
                " positive one",
            ],
        ),
        spacing=24,
    ).resolve_scale(color="independent")


def main() -> None:
    """Read the histograms, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=Path, required=True, help="csv by compare_residuals")
    figure_arguments(parser)
    arguments = parser.parse_args()

    changes = read_csv(arguments.changes, COLUMNS)
    write_figure(chart(*aggregate(changes), arguments.model), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
