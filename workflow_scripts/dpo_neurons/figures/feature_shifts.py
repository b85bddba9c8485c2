"""Figure 22: the shift along the direction split by the features of a sparse autoencoder.

Not a figure of the papers. x: reduction of projection on the unit direction, in the units of the
residual stream, with its interval over prompts. y: the features with the largest reductions, what
all others sum to, and what the autoencoder leaves out. Columns: each model on its own text, and the
fine-tuned model reading the first one's text.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.stream_split import TEXTS
from dpo_neurons.figures.style import LayeredChart
from dpo_neurons.neurons.feature_shifts import ALL, COLUMNS, FEATURE, OTHERS

DRAWN = 15
"""Features of each text that are drawn, those with the largest reductions of either sign."""
LONGEST = 30
"""Characters of a feature's tokens in its label; the tooltip has all."""
KINDS = {FEATURE: "#C44100", "sum": "#808080", ALL: "#303030"}
"""Colour of features, of what sums the rest, and of the whole."""


def aggregate(split: pd.DataFrame) -> pd.DataFrame:
    """Choose and label what is drawn. split: COLUMNS as in their file.

    Features that are not drawn count to the others, whose interval is then not known.
    """
    beyond = (split["part"] == FEATURE) & (split.groupby(["text", "part"]).cumcount() >= DRAWN)
    drawn = split[~beyond].copy()
    for text, undrawn in split[beyond].groupby("text"):
        others = (drawn["text"] == text) & (drawn["part"] == OTHERS)
        drawn.loc[others, "reduction"] += undrawn["reduction"].sum()
        drawn.loc[others, ["reduction_low", "reduction_high"]] = float("nan")
    of_feature = drawn["part"] == FEATURE
    tokens = drawn["promoted"]
    short = tokens.where(tokens.str.len() <= LONGEST, tokens.str.slice(0, LONGEST - 1) + "…")
    number = drawn["feature"].fillna(-1).astype(int).astype(str)
    drawn["label"] = drawn["part"].where(~of_feature, number + "  " + short)
    drawn["kind"] = drawn["part"].where(of_feature | (drawn["part"] == ALL), "sum")
    return drawn.assign(text=drawn["text"].map(TEXTS))


def chart(
    data: pd.DataFrame, model: str, direction_name: str, autoencoder: str
) -> alt.HConcatChart:
    """Draw a panel for each text, on one scale; the whole reduction is the lowest bar."""
    ends = data[["reduction", "reduction_low", "reduction_high"]]
    scale = alt.Scale(domain=[min(0.0, ends.min().min()), max(0.0, ends.max().max())])
    return alt.hconcat(
        *(_panel(data[data["text"] == text], text, scale) for text in TEXTS.values()),
        title=alt.Title(
            "What the shift is made of, in features",
            subtitle=[
                f"{model}: reduction of projection on {direction_name} (positive = less along it), "
                f"by the features of {autoencoder},",
                "each with the tokens that it promotes. All bars but the last add up to the last",
            ],
        ),
        spacing=24,
    )


def _panel(data: pd.DataFrame, text: str, scale: alt.Scale) -> LayeredChart:
    base = alt.Chart(data).encode(
        y=alt.Y("label:N", title=None, sort=data["label"].tolist()).axis(labelLimit=260)
    )
    bars = base.mark_bar(opacity=0.75).encode(
        x=alt.X("reduction:Q", title="reduction", scale=scale),
        color=alt.Color("kind:N", legend=None).scale(
            domain=list(KINDS), range=list(KINDS.values())
        ),
        tooltip=[
            "part:N", "feature:Q", "promoted:N", "value_layer:Q", "value_neuron:Q",
            *(
                alt.Tooltip(f"{name}:Q", format=".3g")
                for name in COLUMNS
                if name.startswith(("reduction", "activation")) or "cosine" in name
            ),
        ],
    )  # fmt: skip
    ends = base.mark_rule(color="#303030").encode(x=alt.X("reduction_low:Q"), x2="reduction_high:Q")
    zero = alt.Chart(data).mark_rule(color="#B0B0B0").encode(x=alt.datum(0))
    layered: LayeredChart = alt.layer(zero, bars, ends, title=text)
    return layered.properties(width=240, height=alt.Step(16))
