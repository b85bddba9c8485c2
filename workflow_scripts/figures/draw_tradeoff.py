"""Draw figure 6: toxicity against perplexity of every intervention, with intervals."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.labels import KINDS, kind_of, spread
from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    figure_arguments,
    pretty_group,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

MEASURES = ("toxicity", "perplexity")
COLUMNS = (
    "intervention",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
)

PANELS = [kind for kind in KINDS if kind != "control"]
"""The panels, one a kind of intervention; a control stands beside the patch that it controls."""
TITLES = KINDS | {"patch": "Patching (filled), joined to its control (open)"}

WIDTH, LABEL_HEIGHT = 520, 16


def aggregate(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the interventions into panels and join each control to its patch.

    table: a row an intervention, as in the table file. Rows without a finite toxicity and
    perplexity are left out; a missing interval shrinks to its point. Returns the measures with
    their intervals and: kind, panel ("" for none and dpo, which stand in all), label, and for
    controls patch_toxicity and patch_perplexity, the point of the patch.
    """
    data = table[np.isfinite(table[list(MEASURES)]).all(axis=1)][list(COLUMNS)]
    data = data.reset_index(drop=True)
    for measure in MEASURES:
        for end in ("low", "high"):
            data[f"{measure}_{end}"] = data[f"{measure}_{end}"].fillna(data[measure])
    names = data["intervention"]
    data["kind"] = names.map(kind_of)
    references = data["kind"].isin(["none", "dpo"])
    data["panel"] = data["kind"].replace("control", "patch").where(~references, "")
    data["label"] = [pretty_group(name).replace("_", " ") for name in names]
    patches = data[data["kind"] == "patch"].set_index("intervention")
    controlled = names.where(data["kind"] == "control").str.replace(
        r"^control_", "patch_", regex=True
    )
    for measure in MEASURES:
        data[f"patch_{measure}"] = controlled.map(patches[measure])
    return data


def chart(data: pd.DataFrame, model: str) -> alt.VConcatChart:
    """Draw a panel a kind of intervention on common axes, none and dpo in each."""
    panels = [panel for panel in PANELS if (data["panel"] == panel).any()] or [""]
    x, y, toxicities = _axes(data)
    return alt.vconcat(
        *[
            _panel(
                data[data["panel"].isin(["", panel])],
                x if panel == panels[-1] else x.title(None),
                y,
                toxicities,
                TITLES.get(panel, ""),
            )
            for panel in panels
        ],
        spacing=14,
        title=alt.Title(
            "Toxicity against perplexity",
            subtitle=[
                f"{model}: lower left is better; bars are intervals.",
                "none and dpo, the models before and after fine-tuning, stand in every panel",
            ],
        ),
    )


def _axes(data: pd.DataFrame) -> tuple[alt.X, alt.Y, list[float]]:
    """Common axes of the panels, perplexity logarithmic if it doubles; the domain of toxicity."""
    low, high = _extent(data, "perplexity")
    log = high > 2 * low > 0
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low)
    domain = [low / margin, high * margin] if log else [low - margin, high + margin]
    x = alt.X("perplexity:Q", title="perplexity (log scale)" if log else "perplexity")
    x = x.scale(type="log" if log else "linear", domain=domain, nice=False)
    x = x.axis(tickCount=5, format="~s", grid=False)
    low, high = _extent(data, "toxicity")
    margin = 0.05 * (high - low)
    domain = [low - margin, high + margin]
    y = alt.Y("toxicity:Q", title="mean toxicity").scale(domain=domain, nice=False, zero=False)
    return x, y, domain


def _extent(data: pd.DataFrame, measure: str) -> tuple[float, float]:
    ends = data[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(dtype=np.float64)
    low, high = float(np.min(ends, initial=np.inf)), float(np.max(ends, initial=-np.inf))
    return (low, high) if low < high else (low - 0.5, high + 0.5) if len(data) else (0.0, 1.0)


def _panel(
    rows: pd.DataFrame, x: alt.X, y: alt.Y, toxicities: list[float], title: str
) -> alt.LayerChart:
    labelled = rows[rows["kind"] != "control"]
    height = LABEL_HEIGHT * max(len(labelled) + 2, 13)
    gap = LABEL_HEIGHT / height * (toxicities[1] - toxicities[0])
    places = spread(labelled["toxicity"].to_numpy(), gap, *toxicities)
    rows = rows.assign(label_toxicity=pd.Series(places, index=labelled.index))
    kinds = ["none", "dpo", "control", *PANELS]
    colours = [BEFORE, AFTER, "#808080", *["#303030"] * len(PANELS)]
    shapes = ["circle", "square", *["diamond"] * (1 + len(PANELS))]
    colour = alt.Color("kind:N", legend=None).scale(domain=kinds, range=colours)
    shape = alt.Shape("kind:N", legend=None).scale(domain=kinds, range=shapes)
    tooltip = ["intervention:N", *[alt.Tooltip(f"{c}:Q", format=".4g") for c in COLUMNS[1:]]]

    base = alt.Chart(rows).encode(x=x, y=y)
    coloured = base.encode(color=colour, tooltip=tooltip)
    intervals = coloured.mark_rule(strokeWidth=1.4, opacity=0.7)
    is_control, is_labelled = "datum.kind == 'control'", "datum.kind != 'control'"
    return alt.layer(
        base.transform_filter(is_labelled)
        .mark_rule(color="#C4C4C4", strokeDash=[2, 2])
        .encode(x2=alt.value(WIDTH + 8), y2="label_toxicity:Q"),
        base.transform_filter("isValid(datum.patch_toxicity)")
        .mark_rule(color="#808080")
        .encode(x2="patch_perplexity:Q", y2="patch_toxicity:Q"),
        intervals.encode(x="perplexity_low:Q", x2="perplexity_high:Q"),
        intervals.encode(y="toxicity_low:Q", y2="toxicity_high:Q"),
        coloured.transform_filter(is_control)
        .mark_point(fill="white", size=55, opacity=1)
        .encode(shape=shape),
        coloured.transform_filter(is_labelled)
        .mark_point(filled=True, size=75, opacity=1)
        .encode(shape=shape),
        coloured.transform_filter(is_labelled)
        .mark_text(align="left", baseline="middle")
        .encode(x=alt.value(WIDTH + 12), y="label_toxicity:Q", text="label:N"),
        title=alt.Title(title, fontSize=13, fontWeight="normal", offset=6),
    ).properties(width=WIDTH, height=height)


def main() -> None:
    """Read the table, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.table, COLUMNS))
    write_figure(chart(data, arguments.model), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
