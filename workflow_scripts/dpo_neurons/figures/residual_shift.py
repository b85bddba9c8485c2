"""Figure 14: the shift of the residual stream, by prompt and by layer.

After the residual shift of Lee et al. 2024 (arXiv 2401.01967). Above, one panel per layer: x is the
stream along the mean shift; y is the stream along the main component orthogonal to that shift. Both
are in the units of the residual stream. Below: x is the block, from 0; y is a share or a cosine of
the mean shift.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart

PROMPT_COLUMNS = ("layer", "prompt", "stage", "along_shift", "beside_shift")
LAYER_COLUMNS = (
    "layer",
    "relative_shift",
    "shared",
    "stream_component_cosine",
    "direction_cosine",
)
"""Columns of the files of prompts and of layers that are drawn."""
MAX_PROMPTS = 60
"""Number of prompts that are drawn; the means are of all prompts."""
ACROSS = ("main component", "across")
"""Title of the y axis: in one line it would be longer than the axis and push up a title."""
STAGES = {"pre": ("before fine-tuning", BEFORE, "circle"), "post": ("after", AFTER, "square")}
"""Name, colour and mark of each checkpoint."""
MEASURES = {
    "relative_shift": ("its length, relative to the stream's", "#303030"),
    "shared": ("its share of the prompts' squared shifts", "#7B3294"),
    "direction_cosine": ("its cosine with the direction", "#E66101"),
    "stream_component_cosine": ("its cosine with the streams' first component", "#A9A9A9"),
}
"""Label and colour of each measure of the mean shift in the lower panel."""


def aggregate(
    prompts: pd.DataFrame, layers: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Thin the prompts evenly to MAX_PROMPTS, and average all prompts.

    prompts: one row per layer, prompt and stage (pre, post), with the PROMPT_COLUMNS. layers: one
    row per layer, with the LAYER_COLUMNS. Returns three tables. Prompts: one row per layer and
    prompt, with along and beside (before), along_after and beside_after. Means: one row per layer
    and stage, with along and beside. Measures of the mean shift: layer, measure, value.
    """
    prompts = prompts.rename(columns={"along_shift": "along", "beside_shift": "beside"})
    means = prompts.groupby(["layer", "stage"])[["along", "beside"]].mean().reset_index()
    drawn = thin_prompts(prompts).set_index(["layer", "prompt", "stage"])
    pairs = drawn.unstack("stage")
    drawn_prompts = pd.DataFrame(
        {
            f"{name}{'' if stage == 'pre' else '_after'}": pairs[name, stage]
            for name in ("along", "beside")
            for stage in STAGES
        }
    ).reset_index()
    measures = layers.melt("layer", list(MEASURES), var_name="measure")
    return drawn_prompts, means, measures


def thin_prompts(prompts: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of at most MAX_PROMPTS prompts, spread evenly."""
    ids = np.sort(prompts["prompt"].unique())
    places = np.unique(np.linspace(0, len(ids) - 1, min(MAX_PROMPTS, len(ids))).astype(int))
    return prompts[prompts["prompt"].isin(ids[places])]


def chart(
    prompts: pd.DataFrame, means: pd.DataFrame, measures: pd.DataFrame, model: str
) -> alt.VConcatChart:
    """Draw one panel of prompts per layer; below, the mean shift by layer.

    prompts, means, measures: of `aggregate`.
    """
    columns = min(prompts["layer"].nunique(), 4)
    width = (720 - 45 * (columns - 1)) // columns
    panels = [
        _scatter(
            prompts[prompts["layer"] == layer],
            means[means["layer"] == layer],
            list(ACROSS) if number == 0 else None,
        ).properties(
            title=alt.Title(f"after block {layer}", fontSize=13, offset=6),
            width=width,
            height=width,
        )
        for number, layer in enumerate(sorted(prompts["layer"].unique()))
    ]
    labels = {name: label for name, (label, _) in MEASURES.items()}
    measured = measures.assign(label=measures["measure"].map(labels))
    colours = [colour for _, colour in MEASURES.values()]
    base = alt.Chart(measured).encode(
        x=alt.X("layer:O", title="after block (first = 0)").axis(labelAngle=0, labelOverlap=True),
        y=alt.Y("value:Q", title="of the mean shift"),
        color=alt.Color("label:N").scale(domain=list(labels.values()), range=colours)
        .legend(title=None, columns=2, symbolType="stroke"),
        tooltip=["layer:O", "label:N", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    below = alt.layer(
        alt.Chart().mark_rule(color="#707070").encode(y=alt.datum(0)),
        base.mark_line(strokeWidth=2),
        base.mark_point(filled=True, size=45, opacity=1),
    ).properties(width=720, height=220)
    figure: alt.VConcatChart = alt.vconcat(
        alt.hconcat(*panels, spacing=20),
        below,
        title=alt.Title(
            "Shift of the residual stream by fine-tuning",
            subtitle=[
                f"{model}: each line joins a prompt's stream before (red circle) and after"
                " (green square);",
                "large marks are the means of all prompts",
            ],
        ),
        spacing=24,
    ).resolve_scale(color="independent")
    return figure


def _scatter(prompts: pd.DataFrame, means: pd.DataFrame, across: list[str] | None) -> LayeredChart:
    """Draw the prompts of one layer; across: title of the y axis."""
    tooltip: list[str | alt.Tooltip] = [
        "prompt:Q",
        *(alt.Tooltip(f"{name}:Q", format=".3g") for name in prompts.columns[2:]),
    ]
    # A label above the axis' end would push up this panel's title, but not its neighbours'.
    scale = alt.Scale(zero=False, nice=False, padding=10)
    base = alt.Chart(prompts).encode(
        x=alt.X("along:Q", title="along the mean shift").scale(scale).axis(tickCount=4),
        y=alt.Y("beside:Q", title=across).scale(scale).axis(tickCount=4, labelBound=True),
        tooltip=tooltip,
    )
    after = base.encode(
        x=alt.X("along_after:Q", title="along the mean shift"),
        y=alt.Y("beside_after:Q", title=across),
    )
    centre = alt.Chart(means).encode(x="along:Q", y="beside:Q")
    marks = [
        points.mark_point(filled=True, shape=shape, color=colour, size=22, opacity=0.75)
        for points, (_, colour, shape) in zip((base, after), STAGES.values(), strict=True)
    ]
    centres = [
        centre.transform_filter(f"datum.stage == '{stage}'").mark_point(
            filled=True, shape=shape, color=colour, size=170, opacity=1, stroke="white"
        )
        for stage, (_, colour, shape) in STAGES.items()
    ]
    joined = base.encode(x2="along_after:Q", y2="beside_after:Q")
    lines = joined.mark_rule(color="#909090", strokeWidth=0.7, opacity=0.6)
    return alt.layer(lines, *marks, *centres)
