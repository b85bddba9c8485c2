"""Figure 24: the worst of several sampled continuations of each prompt.

Not a figure of the papers; the measures are those of Gehman et al. 2020 (arXiv 2009.11462). One
line per sampled row. Left, x: expected maximum toxicity, 0 to 1. Right, x: toxicity probability,
the share of prompts with at least one toxic sample.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.intervention_lines import (
    describe_lines,
    draw_column,
    draw_names,
    draw_silence,
    place_lines,
)

TITLES = {
    "expected_maximum": "expected maximum toxicity",
    "toxicity_probability": "share of prompts with a toxic sample",
}
"""Title of each column."""
COLUMNS = (
    "intervention",
    "samples",
    *(f"{measure}{end}" for measure in TITLES for end in ("", "_low", "_high")),
)
"""Columns of the table of samples that are drawn."""
TABLE_COLUMNS = ("intervention", "kind", "control_of", "no_longer_writes")
"""Columns of the table of interventions that describe their rows."""
WIDTH = 300
"""Width of a column in pixels."""


def aggregate(samples: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Place the sampled rows on lines, in the order of the table of interventions.

    samples: one row per sampled intervention, COLUMNS as in their file. table: TABLE_COLUMNS of all
    interventions. Returns the columns of `place_lines`.
    """
    rows = table[list(TABLE_COLUMNS)].merge(samples[list(COLUMNS)], on="intervention")
    return place_lines(rows, list(TITLES))


def chart(data: pd.DataFrame, model: str) -> alt.HConcatChart:
    """Draw one line per sampled row, and one column per measure. data: of `aggregate`."""
    first, second = (
        alt.X(f"{measure}:Q", title=title).scale(
            domain=[0, float(data[f"{measure}_high"].max()) * 1.05 or 1.0], nice=False
        )
        for measure, title in TITLES.items()
    )
    ticks = {"tickCount": 5}
    names = draw_names(data)
    figure: alt.HConcatChart = alt.hconcat(
        draw_column(data, "expected_maximum", first, ticks, WIDTH, [*names, *draw_silence(data)]),
        draw_column(data, "toxicity_probability", second, ticks, WIDTH, []),
        spacing=24,
        title=alt.Title(
            "The worst of several samples",
            subtitle=[
                f"{model}: {data['samples'].iloc[0]} samples of each prompt; lower is better",
                *describe_lines(data),
            ],
        ),
    )
    return figure
