"""Figure 6: toxicity and perplexity of every intervention.

Not a figure of the papers: it draws tables 1 and 2 of Yang et al. 2024 (arXiv 2411.06424v1), with
intervals. One line per intervention. Left, x: mean toxicity, 0 to 1; none of a row whose model no
longer writes. Right, x: perplexity; a row beyond the axis is at its end, with its perplexity.
"""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import (
    MEASURE_COLUMNS,
    MEASURES,
    fill_intervals,
    measured_rows,
)
from dpo_neurons.figures.intervention_lines import (
    COLOURS,
    describe_lines,
    draw_at_place,
    draw_column,
    draw_names,
    draw_silence,
    height_of_lines,
    place_lines,
)
from dpo_neurons.figures.style import LayeredChart, log_ticks

COLUMNS = ("intervention", "kind", "control_of", "no_longer_writes", *MEASURE_COLUMNS)
"""Columns of the table of interventions that are drawn."""
RANDOM_COLUMNS = ("intervention", "random_toxicity_low", "random_toxicity_high")
"""Columns of the table of random sets that are drawn."""
RANDOM = "#C9B8DC"
"""Colour of random sets."""
WIDTHS = {"toxicity": 300, "perplexity": 260}
"""Widths of the columns in pixels."""


def aggregate(table: pd.DataFrame, random_sets: pd.DataFrame) -> pd.DataFrame:
    """Place the interventions on lines, and add what their random sets give.

    table: one row per intervention, COLUMNS as in the table file. random_sets: RANDOM_COLUMNS of
    the rows that have random sets. Rows without a finite toxicity and perplexity are left out. A
    missing interval shrinks to its point. Returns the columns of `place_lines` and RANDOM_COLUMNS.
    """
    data = place_lines(fill_intervals(measured_rows(table[list(COLUMNS)])), MEASURES)
    # An empty table has no types.
    bands = random_sets[list(RANDOM_COLUMNS)].astype(dict.fromkeys(RANDOM_COLUMNS[1:], "float64"))
    return data.merge(bands, on="intervention", how="left")


def chart(data: pd.DataFrame, model: str) -> alt.HConcatChart:
    """Draw one line per intervention: toxicity at the left, perplexity at the right.

    data: of `aggregate`.
    """
    lines = describe_lines(data)
    if data["random_toxicity_low"].notna().any():
        lines.append("Pale bands: random sets of neurons like the row's")
    writing = data[data["role"] != "broken"]
    if len(writing) < len(data):
        lines.append("At the right edge: perplexities beyond the axis")
    figure: alt.HConcatChart = alt.hconcat(
        _draw_toxicity(data, _extent(writing, "toxicity")),
        _draw_perplexity(data, _extent(writing, "perplexity")),
        spacing=24,
        title=alt.Title(
            "Toxicity and perplexity of every intervention",
            subtitle=[f"{model}: lower is better in both columns", *lines],
        ),
    )
    return figure


def _draw_toxicity(data: pd.DataFrame, extent: tuple[float, float]) -> LayeredChart:
    """Draw the left column, with the names of all lines."""
    margin = 0.05 * (extent[1] - extent[0])
    x = alt.X("toxicity:Q", title="mean toxicity")
    x = x.scale(domain=[extent[0] - margin, extent[1] + margin], nice=False, zero=False)
    bands = (
        draw_at_place(data, height_of_lines(data))
        .transform_filter("isValid(datum.random_toxicity_low) && datum.role != 'broken'")
        .mark_rule(color=RANDOM, strokeWidth=9, clip=True)
        .encode(x=alt.X("random_toxicity_low:Q", axis=None), x2="random_toxicity_high:Q")
    )
    marks = [*draw_names(data), bands, *draw_silence(data)]
    return draw_column(data, "toxicity", x, {"tickCount": 5}, WIDTHS["toxicity"], marks)


def _draw_perplexity(data: pd.DataFrame, extent: tuple[float, float]) -> LayeredChart:
    """Draw the right column; its scale is logarithmic if perplexity at least doubles.

    Its axis ends at the last row whose model writes: a broken row would push all others into a
    corner.
    """
    low, high = extent
    log = high > 2 * low > 0
    margin = (high / low) ** 0.05 if log else 0.05 * (high - low)
    domain = [low / margin, high * margin] if log else [low - margin, high + margin]
    x = alt.X("perplexity:Q", title="perplexity (log scale)" if log else "perplexity")
    x = x.scale(type="log" if log else "linear", domain=domain, nice=False, zero=False, clamp=True)
    ticks: dict[str, Any] = {"values": log_ticks(*domain)} if log else {"tickCount": 5}
    data = data.assign(beyond=data["perplexity"] > domain[1])
    broken = draw_at_place(data, height_of_lines(data)).transform_filter("datum.role == 'broken'")
    broken = broken.encode(tooltip=["intervention:N", alt.Tooltip("perplexity:Q", format=",.4~g")])
    crosses = broken.mark_point(
        shape="cross", angle=45, filled=True, color=COLOURS["broken"], size=60, opacity=1
    )
    written = broken.transform_filter("datum.beyond").mark_text(
        align="left", baseline="middle", fontSize=11, color=COLOURS["broken"]
    )
    width = WIDTHS["perplexity"]
    marks = [
        crosses.encode(x=alt.X("perplexity:Q", axis=None)),
        written.encode(x=alt.value(width + 8), text=alt.Text("perplexity:Q", format=",.0f")),
    ]
    return draw_column(data, "perplexity", x, ticks, width, marks)


def _extent(data: pd.DataFrame, measure: str) -> tuple[float, float]:
    """Return the lowest and highest value of a measure and its intervals, never equal."""
    ends = data[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(dtype=np.float64)
    low, high = float(np.min(ends, initial=np.inf)), float(np.max(ends, initial=-np.inf))
    return (low, high) if low < high else (low - 0.5, high + 0.5) if len(data) else (0.0, 1.0)
