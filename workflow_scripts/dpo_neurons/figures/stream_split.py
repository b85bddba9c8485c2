"""Figure 20: the shift of the residual stream split into attention and MLPs, by depth.

Not a figure of the papers. x: layer, from 0. y: reduction of projection on the unit direction, in
the units of the residual stream, with its interval over prompts. Columns: each model on its own
text, and the fine-tuned model reading the first one's text.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import LayeredChart

COLUMNS = ("text", "layer", "what", "reduction", "reduction_low", "reduction_high")
"""Columns of the file of layers."""
ROWS = {
    "stream": ("stream after the block", "#303030"),
    "attention": ("written by attention", "#1F78B4"),
    "mlp": ("written by the MLP", "#C44100"),
}
"""Title and colour of each row of panels."""
TEXTS = {"own": "each model's own text", "same": "the first model's text"}
"""Title of each column of panels."""


def aggregate(layers: pd.DataFrame) -> pd.DataFrame:
    """Name the columns of panels. layers: COLUMNS as in their file."""
    return layers[list(COLUMNS)].assign(text=layers["text"].map(TEXTS))


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.VConcatChart:
    """Draw the shift of the stream as a line, and what each layer wrote as bars below it.

    Bars of attention and MLPs have one scale.
    """
    ends = data.loc[data["what"] != "stream", ["reduction_low", "reduction_high", "reduction"]]
    of_bars = alt.Scale(domain=[min(0.0, ends.min().min()), max(0.0, ends.max().max())])
    return alt.vconcat(
        _panels(data, "stream", alt.Scale(), header=True, x_title=None),
        _panels(data, "attention", of_bars, header=False, x_title=None),
        _panels(data, "mlp", of_bars, header=False, x_title="layer (first = 0)"),
        title=alt.Title(
            "What wrote the shift of the residual stream",
            subtitle=[
                f"{model}: reduction of projection on {direction_name} (positive = less along it).",
                "The stream's reduction is that of the embedding plus all bars up to its layer",
            ],
        ),
        spacing=12,
    )


def _panels(
    data: pd.DataFrame, what: str, scale: alt.Scale, header: bool, x_title: str | None
) -> alt.FacetChart:
    """Draw one quantity, a panel for each text."""
    title, colour = ROWS[what]
    base = alt.Chart().encode(
        x=alt.X("layer:O", title=x_title).axis(labelAngle=0, labelOverlap=True)
    )
    ends = base.mark_rule(color="#303030").encode(y="reduction_low:Q", y2="reduction_high:Q")
    if what == "stream":
        value = base.mark_line(color=colour, point={"color": colour, "size": 40})
    else:
        value = base.mark_bar(color=colour, opacity=0.75)
    value = value.encode(
        y=alt.Y("reduction:Q", title=title, scale=scale),
        tooltip=["layer:O", *(alt.Tooltip(f"{name}:Q", format=".4g") for name in COLUMNS[3:])],
    )
    zero = alt.Chart().mark_rule(color="#B0B0B0").encode(y=alt.datum(0))
    layered: LayeredChart = alt.layer(zero, value, ends, data=data[data["what"] == what])
    return layered.properties(width=310, height=150).facet(
        column=alt.Column("text:N", title=None, sort=list(TEXTS.values())).header(labels=header)
    )
