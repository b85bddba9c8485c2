"""Figure 6: toxicity against perplexity of every intervention.

Not a figure of the papers: it draws tables 1 and 2 of Yang et al. 2024 (arXiv 2411.06424v1), with
intervals. One panel per kind of intervention. x: perplexity; a row whose model no longer writes is
drawn at the axis's end if it lies beyond. y: mean toxicity, 0 to 1.
"""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import (
    KINDS,
    MEASURE_COLUMNS,
    MEASURES,
    NO_LONGER_WRITES,
    REFERENCES,
    drawn_kinds,
    fill_intervals,
    intervention_labels,
    mark_broken,
    measured_rows,
)
from dpo_neurons.figures.labels import spread_labels
from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart

COLUMNS = ("intervention", "kind", "control_of", "no_longer_writes", *MEASURE_COLUMNS)
"""Columns of the table of interventions that are drawn."""
RANDOM_COLUMNS = ("intervention", "random_toxicity_low", "random_toxicity_high")
"""Columns of the table of random sets that are drawn."""

PANELS = [kind for kind in KINDS if kind != "control"]
"""Kinds that have a panel. A control is drawn in the panel of the row that it controls."""
TITLES = KINDS | {
    "patch": "Patching (filled), joined to its control (open)",
    "shift": "Live shifts (filled), joined to random shifts (open)",
    "damp": "Damping (filled), joined to permuted damping (open)",
    "steer": "Steering (filled); along the shift, joined to a random vector (open)",
}
"""Title of each panel."""

WIDTH, LABEL_HEIGHT = 520, 16
"""Sizes of a panel and a label in pixels."""


def aggregate(table: pd.DataFrame, random_sets: pd.DataFrame) -> pd.DataFrame:
    """Sort the interventions into panels and join each control to its row.

    table: one row per intervention, COLUMNS as in the table file. random_sets: RANDOM_COLUMNS of
    the rows that have random sets. Rows without a finite toxicity
    and perplexity are left out. A missing interval shrinks to its point. Returns intervention, the
    measures with their intervals, no_longer_writes, kind (as drawn), panel, label,
    controlled_toxicity and controlled_perplexity. panel is "" for none and dpo, which are in every
    panel. The last two columns are the point of the row that a control belongs to; then come the
    RANDOM_COLUMNS.
    """
    data = fill_intervals(measured_rows(table[list(COLUMNS)]))
    data["kind"] = drawn_kinds(data["kind"])
    references = data["kind"].isin(REFERENCES)
    data["label"] = mark_broken(intervention_labels(data["intervention"]), data)
    rows = data.set_index("intervention")
    controlled = data["control_of"].where(data["kind"] == "control")
    # A control whose row is left out goes with the patches.
    panels = data["kind"].where(controlled.isna(), controlled.map(rows["kind"]).fillna("patch"))
    data["panel"] = panels.where(~references, "")
    for measure in MEASURES:
        data[f"controlled_{measure}"] = controlled.map(rows[measure])
    # An empty table has no types.
    bands = random_sets[list(RANDOM_COLUMNS)].astype(dict.fromkeys(RANDOM_COLUMNS[1:], "float64"))
    data = data.merge(bands, on="intervention", how="left")
    return data.drop(columns="control_of")


def chart(data: pd.DataFrame, model: str) -> alt.VConcatChart:
    """Draw one panel per kind of intervention, on common axes."""
    panels = [panel for panel in PANELS if (data["panel"] == panel).any()] or [""]
    beyond = _beyond_axis(data)
    with_value = [f"{row.label} ({row.perplexity:,.0f})" for row in data.itertuples()]
    data = data.assign(label=np.where(beyond, with_value, data["label"]))
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
                f"{model}: lower left is better; bars: intervals.",
                "Every panel shows none and dpo, the models before and after fine-tuning",
                *(
                    ["Pale bands: random sets of neurons like the row's"]
                    if data["random_toxicity_low"].notna().any()
                    else []
                ),
                *([NO_LONGER_WRITES] if data["no_longer_writes"].any() else []),
                *(["At the right edge: perplexities beyond the axis"] if beyond.any() else []),
            ],
        ),
    )


def _beyond_axis(data: pd.DataFrame) -> pd.Series:
    """Find the rows whose perplexity lies beyond the axis: bool."""
    return data["perplexity"] > _extent(data[~data["no_longer_writes"]], "perplexity")[1]


def _axes(data: pd.DataFrame) -> tuple[alt.X, alt.Y, list[float]]:
    """Return the panels' common axes and toxicity's domain.

    Perplexity gets a log scale if it at least doubles. Its axis ends at the last row whose model
    writes: one broken row would push all others into a corner.
    """
    low, high = _extent(data[~data["no_longer_writes"]], "perplexity")
    log = high > 2 * low > 0
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low)
    domain = [low / margin, high * margin] if log else [low - margin, high + margin]
    x = alt.X("perplexity:Q", title="perplexity (log scale)" if log else "perplexity")
    x = x.scale(type="log" if log else "linear", domain=domain, nice=False, clamp=True)
    x = x.axis(tickCount=5, format="~s", grid=False)
    low, high = _extent(data, "toxicity")
    margin = 0.05 * (high - low)
    domain = [low - margin, high + margin]
    y = alt.Y("toxicity:Q", title="mean toxicity").scale(domain=domain, nice=False, zero=False)
    return x, y.axis(tickCount=5), domain


def _extent(data: pd.DataFrame, measure: str) -> tuple[float, float]:
    """Return the lowest and highest value of a measure and its intervals, never equal."""
    ends = data[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(dtype=np.float64)
    low, high = float(np.min(ends, initial=np.inf)), float(np.max(ends, initial=-np.inf))
    return (low, high) if low < high else (low - 0.5, high + 0.5) if len(data) else (0.0, 1.0)


def _label_start(rows: pd.DataFrame, x: alt.X) -> float:
    """Return where a panel's labels begin, in pixels: right of all that it draws.

    Labels at the axis' end would be joined to their points across an empty panel.
    """
    encoding: Any = x.to_dict()
    scale = encoding["scale"]
    last = max([*rows["perplexity"], *rows["perplexity_high"]], default=np.inf)
    ends = np.array([*scale["domain"], min(last, scale["domain"][1])])
    low, high, place = np.log(ends) if scale["type"] == "log" else ends
    return float(WIDTH * (place - low) / (high - low)) + 24


def _panel(
    rows: pd.DataFrame, x: alt.X, y: alt.Y, toxicities: list[float], title: str
) -> LayeredChart:
    """Draw one panel, with a label at the right for every row that is not a control."""
    start = _label_start(rows, x)
    labelled = rows[rows["kind"] != "control"]
    height = LABEL_HEIGHT * max(len(labelled) + 2, 13)
    gap = LABEL_HEIGHT / height * (toxicities[1] - toxicities[0])
    places = spread_labels(labelled["toxicity"].to_numpy(), gap, *toxicities)
    rows = rows.assign(label_toxicity=pd.Series(places, index=labelled.index))
    kinds = ["none", "dpo", "control", *PANELS]
    colours = [BEFORE, AFTER, "#808080", *["#303030"] * len(PANELS)]
    shapes = ["circle", "square", *["diamond"] * (1 + len(PANELS))]
    colour = alt.Color("kind:N", legend=None).scale(domain=kinds, range=colours)
    shape = alt.Shape("kind:N", legend=None).scale(domain=kinds, range=shapes)
    values = [alt.Tooltip(f"{column}:Q", format=".4g") for column in MEASURE_COLUMNS]

    base = alt.Chart(rows).encode(x=x, y=y)
    coloured = base.encode(color=colour, tooltip=["intervention:N", *values])
    intervals = coloured.mark_rule(strokeWidth=1.4, opacity=0.7)
    is_control, is_labelled = "datum.kind == 'control'", "datum.kind != 'control'"
    return alt.layer(
        base.transform_filter(is_labelled)
        .mark_rule(color="#C4C4C4", strokeDash=[2, 2])
        .encode(x2=alt.value(start - 4), y2="label_toxicity:Q"),
        base.transform_filter("isValid(datum.controlled_toxicity)")
        .mark_rule(color="#808080")
        .encode(x2="controlled_perplexity:Q", y2="controlled_toxicity:Q"),
        base.transform_filter("isValid(datum.random_toxicity_low)")
        .mark_rule(color="#C9B8DC", strokeWidth=9, clip=True)
        .encode(y="random_toxicity_low:Q", y2="random_toxicity_high:Q"),
        intervals.encode(x="perplexity_low:Q", x2="perplexity_high:Q"),
        intervals.encode(y="toxicity_low:Q", y2="toxicity_high:Q"),
        coloured.transform_filter(f"{is_control} && !datum.no_longer_writes")
        .mark_point(fill="white", size=55, opacity=1)
        .encode(shape=shape),
        coloured.transform_filter(f"{is_labelled} && !datum.no_longer_writes")
        .mark_point(filled=True, size=75, opacity=1)
        .encode(shape=shape),
        base.transform_filter("datum.no_longer_writes")
        .mark_point(shape="cross", angle=45, filled=True, color="#A0A0A0", size=75, opacity=1)
        .encode(tooltip=["intervention:N", *values]),
        # The outline keeps the grid off the labels.
        base.transform_filter(is_labelled)
        .mark_text(align="left", baseline="middle", stroke="white", strokeWidth=5)
        .encode(x=alt.value(start), y="label_toxicity:Q", text="label:N"),
        coloured.transform_filter(is_labelled)
        .mark_text(align="left", baseline="middle")
        .encode(x=alt.value(start), y="label_toxicity:Q", text="label:N"),
        title=alt.Title(title, fontSize=13, fontWeight="normal", offset=6),
    ).properties(width=WIDTH, height=height)
