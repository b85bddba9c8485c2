"""Figure 12: toxicity and perplexity under scaled key vectors.

Yang et al. 2024 (arXiv 2411.06424v1), table 1 and section 4.1, after Lee et al. 2024 (arXiv
2401.01967). x: factor on the key vectors; 1 is fine-tuning alone. y: mean toxicity, 0 to 1, above;
perplexity below. One curve per number of scaled neurons.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import (
    MEASURE_COLUMNS,
    MEASURES,
    NO_LONGER_WRITES,
    fill_intervals,
    measured_rows,
)
from dpo_neurons.figures.labels import spread_labels
from dpo_neurons.figures.style import AFTER, BEFORE, PLAIN_NUMBERS, LayeredChart, empty_figure
from dpo_neurons.statistics.bootstrap import ENDS

COLUMNS = ("intervention", "kind", "top", "factor", "no_longer_writes", *MEASURE_COLUMNS)
"""Columns of the table of interventions that are drawn."""
REFERENCE_COLOURS = {"none": BEFORE, "dpo": AFTER}
"""Colours of the lines at the models before and after fine-tuning."""
TITLE = "Scaling the keys of toxic neurons after fine-tuning"
SHADES = ("#101010", "#7A7A7A", "#00588F", "#E6A800")
"""Colours of the curves."""
WIDTH, HEIGHT, LABEL_HEIGHT = 480, 210, 15
"""Sizes of a panel and its labels in pixels."""


def aggregate(table: pd.DataFrame) -> pd.DataFrame:
    """Select the points of the curves, one curve per number of scaled neurons.

    table: one row per intervention, COLUMNS as in the table file. A curve without a point at
    factor 1 gets the row dpo there. Rows without a finite toxicity and perplexity are left out. A
    missing interval shrinks to its point. Returns intervention, top (number of neurons), factor,
    and the measures with their intervals.
    """
    scaled = table.loc[table["kind"] == "scale_keys", list(COLUMNS)]
    has_start = scaled["top"].isin(scaled.loc[scaled["factor"] == 1, "top"])
    dpo = table.loc[table["kind"] == "dpo", list(COLUMNS)]
    starts = [dpo.assign(top=top, factor=1.0) for top in scaled.loc[~has_start, "top"].unique()]
    data = fill_intervals(measured_rows(pd.concat([*starts, scaled])))
    data = data.drop(columns="kind").astype({"top": int})
    return data.sort_values(["top", "factor"], ignore_index=True)


def chart(data: pd.DataFrame, references: pd.DataFrame, model: str) -> alt.TopLevelMixin:
    """Draw one panel per measure, with the curves and lines at none and dpo.

    data: of `aggregate`. references: rows none and dpo of the table.
    """
    if data.empty:
        return empty_figure(TITLE, f"{model}: no such row has a finite toxicity and perplexity.")
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
                f"{model}: the second model with the key vectors of its most toxic neurons "
                "multiplied;",
                "bars: intervals; lines: the models before (none) and after (dpo) fine-tuning",
                *([NO_LONGER_WRITES] if data["no_longer_writes"].any() else []),
            ],
        ),
    )


def _panel(data: pd.DataFrame, references: pd.DataFrame, x: alt.X, measure: str) -> LayeredChart:
    """Draw the curves of one measure; doubled perplexity gets a log scale."""
    values = np.concatenate([*(data[f"{measure}{end}"] for end in ENDS), references[measure]])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    log = measure == "perplexity" and high > 2 * low > 0
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low) or 0.5
    domain = [low / margin, high * margin] if log else [low - margin, high + margin]
    y = alt.Y(f"{measure}:Q", title=f"{measure} (log scale)" if log else measure)
    y = y.scale(type="log" if log else "linear", domain=domain, nice=False, zero=False)
    y = y.axis(tickCount=5, labelExpr=PLAIN_NUMBERS)
    tops = sorted(data["top"].unique().tolist())
    colour = alt.Color("top:N", title="neurons scaled", sort=tops)
    colour = colour.scale(domain=tops, range=[SHADES[i % len(SHADES)] for i in range(len(tops))])
    base = alt.Chart(data).encode(
        x=x,
        color=colour,
        tooltip=[
            "intervention:N",
            "top:Q",
            "factor:Q",
            *[alt.Tooltip(f"{column}:Q", format=".4g") for column in MEASURE_COLUMNS],
        ],
    )
    ends = np.log(domain) if log else np.array(domain)
    levels = references[measure].to_numpy(dtype=np.float64)
    places = (ends[1] - (np.log(levels) if log else levels)) / (ends[1] - ends[0]) * HEIGHT
    label_places = spread_labels(places, LABEL_HEIGHT, 0, HEIGHT)
    lines = [
        mark
        for name, level, place in zip(references["intervention"], levels, label_places, strict=True)
        for mark in _line(name, level, place)
    ]
    return alt.layer(
        *lines,
        base.mark_rule(strokeWidth=1.6).encode(y=f"{measure}_low:Q", y2=f"{measure}_high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.transform_filter("!datum.no_longer_writes")
        .mark_point(filled=True, size=65, opacity=1)
        .encode(y=f"{measure}:Q"),
        base.transform_filter("datum.no_longer_writes")
        .mark_text(text="†", fontSize=18, fontWeight="bold")
        .encode(y=f"{measure}:Q"),
    ).properties(width=WIDTH, height=HEIGHT)


def _line(name: str, level: float, label_place: float) -> list[alt.Chart]:
    """Draw a line at a reference's value, with a label `label_place` pixels down."""
    rule = alt.Chart().mark_rule(color=REFERENCE_COLOURS[name], strokeDash=[5, 4], strokeWidth=1.6)
    label = alt.Chart().mark_text(align="left", dx=6, color=REFERENCE_COLOURS[name])
    return [
        rule.encode(y=alt.datum(float(level))),
        label.encode(x=alt.value(WIDTH), y=alt.value(float(label_place)), text=alt.value(name)),
    ]
