"""Draw figure 8: the net curve over neurons with its interval, and how many carry the effect."""

import argparse
from pathlib import Path

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

COLUMNS = ("neurons", "cumulative", "low", "high", "mark")
MARKS = {"neurons_50": "50 %", "neurons_90": "90 %", "neurons_99": "99 %", "peak": "peak"}
"""Marks named at the curve; the net stands at its end."""


def aggregate(curve: pd.DataFrame) -> pd.DataFrame:
    """The curve's points, as in the net curve's file, and a label where one is marked."""
    data = curve[list(COLUMNS)].copy()
    data["mark"] = data["mark"].fillna("")
    data["label"] = data["mark"].map(MARKS).fillna("")
    return data


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.LayerChart:
    """Draw the curve in its band, with a line down from each mark."""
    every = int(data["neurons"].max())
    marked = data.drop_duplicates("mark").set_index("mark")
    peak, net = marked.loc["peak"], marked.loc["net"]
    x = alt.X("neurons:Q", title="neurons summed up, largest reduction first")
    x = x.axis(format=",d", tickCount=6, grid=False).scale(domain=[0, max(every, 1)], nice=False)
    y = alt.Y(
        "cumulative:Q", title=f"cumulative reduction of projection on {direction_name} direction"
    )
    lowest, highest = float(data["low"].min()), float(data["high"].max())
    room = 0.06 * ((highest - lowest) or 1.0)
    bottom = lowest - room if lowest < 0 else 0.0
    y = y.scale(domain=[bottom, max(highest, 0.0) + room], nice=False)
    values = [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("cumulative", "low", "high")]
    base = alt.Chart(data).encode(
        x=x, tooltip=[alt.Tooltip("neurons:Q", format=",d"), *values, "mark:N"]
    )
    named = base.transform_filter("datum.label != ''")
    at_net = base.transform_filter("datum.mark == 'net'")
    texts = [
        # Each name has a height of its own: concentrated effects bring the marks together.
        named.transform_filter(f"datum.mark == '{mark}'")
        .mark_text(align="left", dx=4, dy=-6 - 15 * place, color="#404040")
        .encode(y=alt.datum(0), text=alt.value(text))
        for place, (mark, text) in enumerate(_texts(marked).items())
    ]
    return alt.layer(
        base.mark_area(color="#B8B8B8", opacity=0.6).encode(y="low:Q", y2="high:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        named.mark_rule(color="#909090", strokeDash=[4, 4]).encode(
            y="cumulative:Q", y2=alt.datum(0)
        ),
        base.mark_line(color="#303030", strokeWidth=2).encode(y=y),
        named.mark_point(color="#303030", filled=True, size=50, opacity=1).encode(y="cumulative:Q"),
        at_net.mark_point(color="#303030", filled=True, size=70, opacity=1).encode(
            y="cumulative:Q"
        ),
        at_net.mark_text(align="left", dx=9).encode(
            y="cumulative:Q", text=alt.value(f"net {net['cumulative']:.4g}")
        ),
        *texts,
        title=alt.Title(
            "Net curve: the reduction summed up over neurons",
            subtitle=[
                f"{model}: band, interval over prompts with the ranking held fixed;",
                f"peak {_with_interval(peak)}, net {_with_interval(net)}",
            ],
        ),
    ).properties(width=600, height=360)


def _texts(marked: pd.DataFrame) -> dict[str, str]:
    """What stands at each mark: its name and its neurons."""
    return {mark: f"{name}: {marked.loc[mark, 'neurons']:,}" for mark, name in MARKS.items()}


def _with_interval(point: pd.Series) -> str:
    return f"{point['cumulative']:.4g} [{point['low']:.4g}, {point['high']:.4g}]"


def main() -> None:
    """Read the curve, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", type=Path, required=True, help="net curve csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    data = aggregate(read_csv(arguments.curve, COLUMNS))
    write_figure(chart(data, arguments.model, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
