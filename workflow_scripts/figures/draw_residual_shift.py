"""Draw figure 14: how fine-tuning shifts the residual stream, prompt by prompt and by layer."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    figure_arguments,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

PROMPT_COLUMNS = ("layer", "prompt", "stage", "along_shift", "beside_shift")
LAYER_COLUMNS = (
    "layer",
    "relative_shift",
    "shared",
    "stream_component_cosine",
    "direction_cosine",
)
MAX_PROMPTS = 60
ACROSS = "main component across"
STAGES = {"pre": ("before fine-tuning", BEFORE, "circle"), "post": ("after", AFTER, "square")}
MEASURES = {
    "relative_shift": ("its length, relative to the stream's", "#303030"),
    "shared": ("its share of the prompts' squared shifts", "#7B3294"),
    "direction_cosine": ("its cosine with the direction", "#E66101"),
    "stream_component_cosine": ("its cosine with the streams' first component", "#A9A9A9"),
}
"""What the lower panel draws of the mean shift: label and colour."""


def aggregate(
    prompts: pd.DataFrame, layers: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What is drawn: prompts, evenly thinned; the means of all of them; measures of the shift.

    prompts: a row a layer, prompt and stage (pre, post). layers: a row a layer. Returns three
    tables. Prompts: a row a layer and prompt, along and beside (before), along_after and
    beside_after. Means: a row a layer and stage, along and beside. Measures: layer, measure, value.
    """
    prompts = prompts.rename(columns={"along_shift": "along", "beside_shift": "beside"})
    means = prompts.groupby(["layer", "stage"])[["along", "beside"]].mean().reset_index()
    ids = np.sort(prompts["prompt"].unique())
    kept = ids[np.unique(np.linspace(0, len(ids) - 1, min(MAX_PROMPTS, len(ids))).astype(int))]
    drawn = prompts[prompts["prompt"].isin(kept)].set_index(["layer", "prompt", "stage"])
    pairs = drawn.unstack("stage")
    flat = pd.DataFrame(
        {
            f"{name}{'' if stage == 'pre' else '_after'}": pairs[name, stage]
            for name in ("along", "beside")
            for stage in STAGES
        }
    ).reset_index()
    measures = layers.melt("layer", list(MEASURES), var_name="measure")
    return flat, means, measures


def chart(
    prompts: pd.DataFrame, means: pd.DataFrame, measures: pd.DataFrame, model: str
) -> alt.VConcatChart:
    """Draw a panel a layer with a line a prompt, and below them the shift's measures by layer."""
    columns = min(prompts["layer"].nunique(), 4)
    width = (720 - 45 * (columns - 1)) // columns
    panels = [
        _scatter(
            prompts[prompts["layer"] == layer],
            means[means["layer"] == layer],
            ACROSS if number == 0 else None,
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
    return alt.vconcat(
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


def _scatter(prompts: pd.DataFrame, means: pd.DataFrame, across: str | None) -> alt.LayerChart:
    tooltip = [
        "prompt:Q",
        *(alt.Tooltip(f"{name}:Q", format=".3g") for name in prompts.columns[2:]),
    ]
    scale = alt.Scale(zero=False, nice=True)
    base = alt.Chart(prompts).encode(
        x=alt.X("along:Q", title="along the mean shift").scale(scale).axis(tickCount=4),
        y=alt.Y("beside:Q", title=across).scale(scale).axis(tickCount=4),
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


def main() -> None:
    """Read prompts and layers, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="csv by compare_residuals")
    parser.add_argument("--layers", type=Path, required=True, help="csv by compare_residuals")
    figure_arguments(parser)
    arguments = parser.parse_args()

    prompts = read_csv(arguments.prompts, PROMPT_COLUMNS)
    layers = read_csv(arguments.layers, LAYER_COLUMNS)
    write_figure(chart(*aggregate(prompts, layers), arguments.model), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
