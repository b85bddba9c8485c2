"""Figure 15: changes of value vectors compared with the stream's shift.

After the value vectors of Lee et al. 2024 (arXiv 2401.01967). Above: x is the cosine of a value
vector's change with the shift; y is the MLP layer; colour is the share of the layer's changed
neurons. Below: y is the sum that the changes write along the shift, in units of its length.
"""

import altair as alt
import pandas as pd

COLUMNS = (
    "layer",
    "shift_layer",
    "activation",
    "cosine_low",
    "cosine_high",
    "neurons",
    "written",
)
"""Columns of the file of value changes."""
SIGNS = {"negative": "#2166AC", "positive": "#B2182B"}
"""Colour of each sign of a neuron's mean activation after fine-tuning."""
NONE = "#440154"
"""Colour of zero in the scheme viridis."""


def aggregate(changes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select histograms of cosines with a late layer's shift, and written sums.

    changes: histograms of compare_residuals, with the COLUMNS. The late layer is the one that most
    layers are compared with; if there are several, the last. Returns histograms (layer, activation,
    cosine_low, cosine_high, neurons, share of the layer's changed neurons) and sums (layer,
    shift_layer, activation, written).
    """
    compared = changes.loc[changes["activation"].isin(list(SIGNS)), list(COLUMNS)]
    layers = compared.groupby("shift_layer")["layer"].nunique()
    late = layers[layers == layers.max()].index.max()
    counts = compared[compared["shift_layer"] == late].copy()
    counts["share"] = counts["neurons"] / counts.groupby("layer")["neurons"].transform("sum")
    sums = counts.groupby(["layer", "shift_layer", "activation"])["written"].sum().reset_index()
    return counts.drop(columns=["written", "shift_layer"]), sums


def chart(counts: pd.DataFrame, sums: pd.DataFrame, model: str) -> alt.VConcatChart:
    """Draw maps of cosines by layer, and the sums below.

    counts, sums: of `aggregate`. If fine-tuning changed no value vector, the chart says so.
    """
    title = "Changes of value vectors against the shift of the residual stream"
    if sums.empty:
        text = alt.Chart().mark_text(fontSize=14).encode(text=alt.value("no value vector changed"))
        empty = text.properties(width=500, height=60, title=alt.Title(title, subtitle=model))
        return alt.vconcat(empty)
    late = sums["shift_layer"].iloc[0]
    most = float(counts["share"].max())
    scale = alt.Scale(scheme="viridis", type="sqrt", domain=[0, most])
    # At equal distances on a scale of square roots: Vega's own ticks crowd at its end.
    ticks = [most * (place / 3) ** 2 for place in range(4)]
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
            .legend(format=".2~p", gradientLength=240, values=ticks),
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
    figure: alt.VConcatChart = alt.vconcat(
        alt.hconcat(*maps, spacing=20),
        alt.layer(bars, zero),
        title=alt.Title(
            title,
            subtitle=[
                f"{model}: the shift is that after block {late}. Neurons with a negative activation"
                " write along",
                "the shift if their change points against it (left); with a positive one, if it"
                " points along it (right)",
            ],
        ),
        spacing=24,
    ).resolve_scale(color="independent")
    return figure
