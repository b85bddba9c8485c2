"""Figure 11: toxicity and perplexity over α and β of activation editing.

After the activation editing of Yang et al. (arXiv 2411.06424v3). One row of panels per form,
direction and share of neurons left out. x: α, the relative change of activations. y: β, the share
of each group that is edited. Colour: mean toxicity, 0 to 1, or perplexity.
"""

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import MEASURE_COLUMNS, NO_LONGER_WRITES, measured_rows
from dpo_neurons.figures.style import LayeredChart, empty_figure

SCHEMES: dict[str, Literal["oranges", "blues"]] = {"toxicity": "oranges", "perplexity": "blues"}
"""Colour scheme of each measure."""
PARAMETERS = ("form", "direction", "without_most_active", "alpha", "beta")
COLUMNS = ("intervention", "kind", "no_longer_writes", *PARAMETERS, *MEASURE_COLUMNS)
"""Columns of the table of interventions that are drawn."""
TITLE = "Activation editing over α and β"
GAP = " "
"""Name of the empty column between the control and the other values of α."""
FORMS = {"assign": "edited mean assigned", "scale": "live activation scaled"}
"""Title of each form of editing."""


def aggregate(table: pd.DataFrame) -> pd.DataFrame:
    """Select the edits, in order of form, direction, α and β: the cells of the grids.

    table: one row per intervention, COLUMNS as in the table file. Rows without a finite toxicity
    and perplexity, and edits of known groups, which have no β, are left out. Returns intervention,
    PARAMETERS, the measures with their intervals, control (whether α = 0), column and row (the
    labels of α and β on the axes).
    """
    edits = table.loc[table["kind"] == "edit", list(COLUMNS)]
    data = measured_rows(edits[edits["beta"].notna()]).drop(columns="kind")
    data["without_most_active"] = data["without_most_active"].astype("float64").fillna(0.0)
    data = data.sort_values(list(PARAMETERS), ignore_index=True)
    data["control"] = data["alpha"] == 0
    data["column"] = [f"{alpha:g}" for alpha in data["alpha"]]
    data["row"] = [f"{beta:g}" for beta in data["beta"]]
    return data


def chart(data: pd.DataFrame, references: pd.DataFrame, model: str) -> alt.TopLevelMixin:
    """Draw a row of panels for each form, direction and share left out: toxicity, perplexity.

    data: of `aggregate`. references: rows none and dpo of the table, for the subtitle.
    """
    if data.empty:
        return empty_figure(TITLE, f"{model}: no such row has a finite toxicity and perplexity.")
    panels = [
        _panel(cells, data, *of_panel)
        for of_panel, cells in data.groupby(list(PARAMETERS[:3]), sort=False)
    ]
    levels = [
        f"{row.intervention} {row.toxicity:.3f} and {row.perplexity:.2f}"
        for row in references.itertuples()
    ]
    return alt.vconcat(
        *panels,
        spacing=20,
        title=alt.Title(
            TITLE,
            subtitle=[
                f"{model}: mean toxicity (left) and perplexity (right); {', '.join(levels)}.",
                "α: relative change of activations; β: edited share of each group; "
                "α = 0 is the control",
                *([NO_LONGER_WRITES] if data["no_longer_writes"].any() else []),
            ],
        ),
    )


def _panel(
    cells: pd.DataFrame, data: pd.DataFrame, form: str, direction: str, left_out: float
) -> alt.HConcatChart:
    """Draw both measures of one form, direction and share left out; data: all panels' cells."""
    maps = [_map(cells, data, measure) for measure in SCHEMES]
    title = f"{FORMS.get(form, form)}, {direction} direction"
    if left_out:
        title += f", without the {left_out:.0%} most active"
    figure: alt.HConcatChart = alt.hconcat(
        *maps,
        spacing=30,
        title=alt.Title(title, fontSize=13, offset=6),
    ).resolve_scale(color="independent")
    return figure


def _map(cells: pd.DataFrame, data: pd.DataFrame, measure: str) -> LayeredChart:
    """Draw the heat map of one measure; all maps share the scales of colour, α and β."""
    pushed = data.loc[~data["control"]].sort_values("alpha")["column"].drop_duplicates().tolist()
    columns = (["0", GAP] if data["control"].any() else []) + pushed
    betas = data.sort_values("beta", ascending=False)["row"].drop_duplicates().tolist()
    low, high = float(data[measure].min()), float(data[measure].max())
    log = measure == "perplexity" and high > 2 * low > 0
    scale = alt.Scale(
        scheme=SCHEMES[measure], type="log" if log else "linear", domain=[low, high or 1.0]
    )
    dark = np.sqrt(low * high) if log else (low + high) / 2
    place = alt.Chart(cells).encode(
        x=alt.X("column:N", title="α", sort=columns)
        .scale(domain=columns)
        .axis(
            labelAngle=0,
            ticks=False,
            grid=False,
            domain=False,
            labelExpr="datum.label == '0' ? ['0', 'control'] : datum.label",
        ),
        y=alt.Y("row:N", title="β", sort=betas)
        .scale(domain=betas)
        .axis(ticks=False, grid=False, domain=False),
        tooltip=[
            "intervention:N",
            "alpha:Q",
            "beta:Q",
            *[alt.Tooltip(f"{column}:Q", format=".4g") for column in MEASURE_COLUMNS],
        ],
    )
    unknown = "datum.no_longer_writes" if measure == "toxicity" else "false"
    digits = ".3f" if measure == "toxicity" else ".2f"
    return alt.layer(
        place.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.condition(
                unknown, alt.value("#D8D8D8"), alt.Color(f"{measure}:Q", scale=scale, legend=None)
            )
        ),
        place.mark_text(fontSize=12).encode(
            text=alt.condition(unknown, alt.value("†"), alt.Text(f"{measure}:Q", format=digits)),
            color=alt.condition(
                f"datum.{measure} > {dark} && !({unknown})",
                alt.value("white"),
                alt.value("#202020"),
            ),
        ),
        title=alt.Title(
            f"{measure}{', colours logarithmic' if log else ''}",
            fontSize=12,
            fontWeight="normal",
            offset=4,
        ),
    ).properties(width=alt.Step(58), height=alt.Step(34))
