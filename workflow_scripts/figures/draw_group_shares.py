"""Draw figure 2a: the share of each reducing neuron group in the reduction, with intervals."""

import argparse
from pathlib import Path

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import (
    GROUP_LABEL_EXPR,
    figure_arguments,
    group_colour,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.running.program import run_program

COLUMNS = ("group", "neurons", "reduction", "share", "share_low", "share_high")


def aggregate(groups: pd.DataFrame) -> pd.DataFrame:
    """The four reducing groups in the paper's order (v1, figure 2a).

    groups: a row a group, columns as in the groups file. A group that is not there, or has no
    share because nothing reduces, counts as none: zero neurons, zero share.
    """
    four = groups[groups["group"].isin(REDUCING)].set_index("group").reindex(list(REDUCING))
    four = four.fillna(0.0).rename_axis("group").reset_index()
    return four.astype({"neurons": "int64"})


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.LayerChart:
    """Draw a bar a group with its interval; the share stands beside, the neurons on the axis."""
    highest = float(data[["share", "share_high"]].max().max()) or 1.0
    base = alt.Chart(data).encode(
        y=alt.Y("group:N", title=None, sort=list(REDUCING)).axis(
            labelExpr=GROUP_LABEL_EXPR, labelFontSize=14, ticks=False, labelPadding=8
        ),
        tooltip=[
            "group:N",
            alt.Tooltip("neurons:Q", format=","),
            alt.Tooltip("reduction:Q", format=".4g"),
            alt.Tooltip("share:Q", format=".1%"),
            alt.Tooltip("share_low:Q", format=".1%"),
            alt.Tooltip("share_high:Q", format=".1%"),
        ],
    )
    share = alt.X("share:Q", title="share of the reduction by the four reducing groups (%)")
    share = share.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=6)
    share = share.scale(domain=[min(float(data["share_low"].min()), 0.0), highest * 1.02])
    beyond = alt.X("end:Q").scale(nice=False)
    labels = base.transform_calculate(
        end="max(datum.share, datum.share_high)",
        label="format(datum.share, '.1%') + ' · ' + format(datum.neurons, ',') + ' neurons'",
    )
    return alt.layer(
        base.mark_bar(height=30).encode(x=share, color=group_colour(data["group"], None)),
        base.mark_rule(strokeWidth=1.6).encode(x="share_low:Q", x2="share_high:Q"),
        base.mark_tick(thickness=1.6, size=12, color="black").encode(x="share_low:Q"),
        base.mark_tick(thickness=1.6, size=12, color="black").encode(x="share_high:Q"),
        labels.mark_text(align="left", dx=10).encode(x=beyond, text="label:N"),
        title=alt.Title(
            f"Reduction of projection on the {direction_name} direction by neuron group",
            subtitle=f"{model}: intervals from a bootstrap over prompts",
        ),
    ).properties(width=460, height=alt.Step(48))


def main() -> None:
    """Read the groups, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, help="groups csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.groups, COLUMNS))
    write_figure(chart(data, arguments.model, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
