"""Draw figure 12: toxicity and perplexity as the most toxic neurons' keys are scaled up again."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.labels import spread
from dpo_neurons.figures.named_rows import as_numbers, measured_rows, named_rows
from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    figure_arguments,
    nothing_to_draw,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

MEASURES = ("toxicity", "perplexity")
COLUMNS = (
    "intervention",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
)
REFERENCES = {"none": BEFORE, "dpo": AFTER}
TITLE = "Scaling the keys of toxic neurons after fine-tuning"
SHADES = ("#101010", "#7A7A7A", "#00588F", "#E6A800")
WIDTH, HEIGHT, LABEL_HEIGHT = 480, 210, 15


def aggregate(rows: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The curves: a row a number of neurons and factor, fine-tuning alone as factor 1 of each.

    rows: of named_rows, a row a scaling with its top (neurons) and factor; table: a row an
    intervention, as in the table file at `path`. Rows without a finite toxicity and perplexity are
    left out; a missing interval shrinks to its point.
    """
    data = as_numbers(rows, ("top", "factor"))
    unscaled = [
        {"intervention": "dpo", "top": top, "factor": 1.0}
        for top in data.loc[~data["top"].isin(data.loc[data["factor"] == 1, "top"]), "top"].unique()
    ]
    data = pd.concat([pd.DataFrame(unscaled), data], ignore_index=True) if unscaled else data
    data = measured_rows(data, table, path).astype({"top": int})
    data = data[np.isfinite(data[[*MEASURES]]).all(axis=1)]
    for measure in MEASURES:
        for end in ("low", "high"):
            data[f"{measure}_{end}"] = data[f"{measure}_{end}"].fillna(data[measure])
    return data.sort_values(["top", "factor"], ignore_index=True)


def chart(data: pd.DataFrame, references: pd.DataFrame, model: str) -> alt.TopLevelMixin:
    """Draw a panel a measure, a curve a number of neurons, and lines at none and dpo.

    references: the table's rows none and dpo.
    """
    if data.empty:
        return nothing_to_draw(TITLE, f"{model}: no key scaling in this study.")
    factors = sorted(data["factor"].unique().tolist())
    end = factors[-1] + 0.02 * (factors[-1] - factors[0]) + (len(factors) == 1)
    x = alt.X("factor:Q").scale(domain=[factors[0], end], nice=False, zero=False)
    x = x.axis(values=factors, grid=False, labelExpr="'×' + datum.value")
    last = MEASURES[-1]
    return alt.vconcat(
        *[
            _panel(
                data,
                references,
                x.title("factor on the keys") if measure == last else x.title(None),
                measure,
            )
            for measure in MEASURES
        ],
        spacing=14,
        title=alt.Title(
            TITLE,
            subtitle=[
                f"{model}: the second model, keys of its most toxic neurons multiplied;",
                "bars are intervals; lines, the models before (none) and after (dpo) fine-tuning",
            ],
        ),
    )


def _panel(data: pd.DataFrame, references: pd.DataFrame, x: alt.X, measure: str) -> alt.LayerChart:
    values = np.concatenate([data[f"{measure}_high"], data[f"{measure}_low"], references[measure]])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    log = measure == "perplexity" and high > 2 * low > 0
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low) or 0.5
    domain = [low / margin, high * margin] if log else [low - margin, high + margin]
    y = alt.Y(f"{measure}:Q", title=f"{measure} (log scale)" if log else measure)
    y = y.scale(type="log" if log else "linear", domain=domain, nice=False, zero=False)
    y = y.axis(tickCount=5, format="~g")
    tops = sorted(data["top"].unique().tolist())
    colour = alt.Color("top:N", title="neurons scaled", sort=tops)
    colour = colour.scale(domain=tops, range=[SHADES[i % len(SHADES)] for i in range(len(tops))])
    fields = [f"{one}{end}" for one in MEASURES for end in ("", "_low", "_high")]
    base = alt.Chart(data).encode(
        x=x,
        color=colour,
        tooltip=[
            "intervention:N",
            "top:Q",
            "factor:Q",
            *[alt.Tooltip(f"{field}:Q", format=".4g") for field in fields],
        ],
    )
    at = np.log(domain) if log else np.array(domain)
    levels = references[measure].to_numpy(dtype=np.float64)
    places = (at[1] - (np.log(levels) if log else levels)) / (at[1] - at[0]) * HEIGHT
    texts = spread(places, LABEL_HEIGHT, 0, HEIGHT)
    lines = [
        mark
        for name, level, text in zip(references["intervention"], levels, texts, strict=True)
        for mark in _line(name, level, text)
    ]
    return alt.layer(
        *lines,
        base.mark_rule(strokeWidth=1.6).encode(y=f"{measure}_low:Q", y2=f"{measure}_high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=65, opacity=1).encode(y=f"{measure}:Q"),
    ).properties(width=WIDTH, height=HEIGHT)


def _line(name: str, level: float, text: float) -> list[alt.Chart]:
    """A line at a value, named at its end, `text` pixels from the top."""
    rule = alt.Chart().mark_rule(color=REFERENCES[name], strokeDash=[5, 4], strokeWidth=1.6)
    label = alt.Chart().mark_text(align="left", dx=6, color=REFERENCES[name])
    return [
        rule.encode(y=alt.datum(float(level))),
        label.encode(x=alt.value(WIDTH), y=alt.value(float(text)), text=alt.value(name)),
    ]


def main() -> None:
    """Read the table, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    parser.add_argument("--rows", nargs="*", required=True, help="the curve, as name=top,factor")
    figure_arguments(parser)
    arguments = parser.parse_args()

    table = read_csv(arguments.table, COLUMNS)
    data = aggregate(named_rows(arguments.rows, ("top", "factor")), table, arguments.table)
    references = table[table["intervention"].isin(REFERENCES)]
    write_figure(chart(data, references, arguments.model), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
