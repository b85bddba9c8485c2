"""Draw figure 11: toxicity and perplexity over the grid of α and β of activation editing."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.named_rows import as_numbers, measured_rows, named_rows
from dpo_neurons.figures.style import (
    figure_arguments,
    nothing_to_draw,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

MEASURES = {"toxicity": "oranges", "perplexity": "blues"}
"""Each measure and the colours it has."""
COLUMNS = (
    "intervention",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
)
REFERENCES = ("none", "dpo")
TITLE = "Activation editing over α and β"
GAP = " "
"""Column without a cell that sets the control apart."""
FORMS = {"assign": "edited mean assigned", "scale": "live activation scaled"}


def aggregate(rows: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The cells of the grids: a row an edit with its form, direction, alpha and beta.

    rows: of named_rows, a row an edit; table: a row an intervention, as in the table file at
    `path`. Returns them joined, in order of form, direction, alpha and beta, and: control (α = 0),
    column and row (α and β as the axes name them). Rows without a finite toxicity and perplexity
    are left out.
    """
    data = as_numbers(rows, ("alpha", "beta"))
    data = measured_rows(data, table, path)
    data = data[np.isfinite(data[[*MEASURES]]).all(axis=1)]
    data = data.sort_values(["form", "direction", "alpha", "beta"], ignore_index=True)
    data["control"] = data["alpha"] == 0
    data["column"] = [f"{alpha:g}" for alpha in data["alpha"]]
    data["row"] = [f"{beta:g}" for beta in data["beta"]]
    return data


def chart(data: pd.DataFrame, references: pd.DataFrame, model: str) -> alt.TopLevelMixin:
    """Draw a panel a form and direction, toxicity on the left, perplexity on the right.

    references: the table's rows none and dpo, for the subtitle.
    """
    if data.empty:
        return nothing_to_draw(TITLE, f"{model}: no editing rows in this study.")
    panels = [
        _panel(cells, data, form, direction)
        for (form, direction), cells in data.groupby(["form", "direction"], sort=False)
    ]
    known = [
        f"{row.intervention} {row.toxicity:.3f} and {row.perplexity:.2f}"
        for row in references.itertuples()
    ]
    return alt.vconcat(
        *panels,
        spacing=20,
        title=alt.Title(
            TITLE,
            subtitle=[
                f"{model}: mean toxicity (left) and perplexity (right); {', '.join(known)}.",
                "α is how far activations are pushed, β the share of each group; "
                "α = 0, the control, pushes none",
            ],
        ),
    )


def _panel(cells: pd.DataFrame, data: pd.DataFrame, form: str, direction: str) -> alt.HConcatChart:
    maps = [_map(cells, data, measure) for measure in MEASURES]
    title = f"{FORMS.get(form, form)}, {direction} direction"
    return alt.hconcat(
        *maps,
        spacing=30,
        title=alt.Title(title, fontSize=13, offset=6),
    ).resolve_scale(color="independent")


def _map(cells: pd.DataFrame, data: pd.DataFrame, measure: str) -> alt.LayerChart:
    """One heat map; colours mean the same in all panels, α and β have the same places."""
    pushed = data.loc[~data["control"]].sort_values("alpha")["column"].drop_duplicates().tolist()
    columns = (["0", GAP] if data["control"].any() else []) + pushed
    betas = data.sort_values("beta", ascending=False)["row"].drop_duplicates().tolist()
    low, high = float(data[measure].min()), float(data[measure].max())
    log = measure == "perplexity" and high > 2 * low > 0
    scale = alt.Scale(
        scheme=MEASURES[measure], type="log" if log else "linear", domain=[low, high or 1.0]
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
            *[
                alt.Tooltip(f"{one}{end}:Q", format=".4g")
                for one in MEASURES
                for end in ("", "_low", "_high")
            ],
        ],
    )
    written = ".3f" if measure == "toxicity" else ".2f"
    return alt.layer(
        place.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color(f"{measure}:Q", scale=scale, legend=None)
        ),
        place.mark_text(fontSize=12).encode(
            text=alt.Text(f"{measure}:Q", format=written),
            color=alt.condition(
                f"datum.{measure} > {dark}", alt.value("white"), alt.value("#202020")
            ),
        ),
        title=alt.Title(
            f"{measure}{', colours logarithmic' if log else ''}",
            fontSize=12,
            fontWeight="normal",
            offset=4,
        ),
    ).properties(width=alt.Step(58), height=alt.Step(34))


def main() -> None:
    """Read the table, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    parser.add_argument(
        "--rows", nargs="*", required=True, help="the grid, as name=form,direction,alpha,beta"
    )
    figure_arguments(parser)
    arguments = parser.parse_args()

    table = read_csv(arguments.table, COLUMNS)
    rows = named_rows(arguments.rows, ("form", "direction", "alpha", "beta"))
    data = aggregate(rows, table, arguments.table)
    references = table[table["intervention"].isin(REFERENCES)]
    write_figure(chart(data, references, arguments.model), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
