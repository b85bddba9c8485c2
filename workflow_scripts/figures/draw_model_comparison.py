"""Draw figure 16: what share of fine-tuning's effect interventions reproduce, model by model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.evaluation.model_comparison import COLUMNS
from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    group_colour,
    group_legend,
    pretty_group,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.running.program import run_program

WIDEST = (-1.5, 3.0)
"""Intervals are cut off beyond these shares, unless a share itself lies there."""
WIDTH, ROW = 430, 22
PALE = ["TN+", "AP+"]
"""Groups whose colours need dark letters on them."""


def aggregate(
    comparison: pd.DataFrame, interventions: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The shares of the effect of some interventions and their controls, and the group shares.

    comparison: a row a number, as in the comparison file. Returns model, intervention, kind
    (control or row), label, value, low and high, a control under the name of the row that it
    controls; and model, group, share, low, high, and start and end of its part of the model's bar.
    """
    of_effect = comparison[comparison["quantity"] == "effect_share"]
    parts = [of_effect[:0].assign(intervention="", kind="", label="")]
    for name in interventions:
        control = f"control_{name.removeprefix('patch_')}"
        for kind, of in (("row", name), ("control", control)):
            rows = of_effect[of_effect["of"] == of]
            label = pretty_group(name).replace("_", " ")
            parts.append(rows.assign(intervention=name, kind=kind, label=label))
    shares = pd.concat(parts, ignore_index=True).drop(columns=["quantity", "of"])
    groups = comparison[
        (comparison["quantity"] == "group_share") & comparison["of"].isin(REDUCING)
    ].rename(columns={"of": "group", "value": "share"})
    groups = groups.assign(end=groups.groupby("model", sort=False)["share"].cumsum())
    groups = groups.assign(start=groups["end"] - groups["share"]).drop(columns="quantity")
    return shares, groups.reset_index(drop=True)


def chart(shares: pd.DataFrame, groups: pd.DataFrame, direction_name: str) -> alt.HConcatChart:
    """Draw the shares of the effect, a block an intervention, and the models' groups beside."""
    models = list(dict.fromkeys(groups["model"]))
    return alt.hconcat(
        *([_effects(shares, models)] if len(shares) else []),
        _groups(groups, models, direction_name),
        spacing=40,
        title=alt.Title(
            "Share of fine-tuning's effect on toxicity that interventions reproduce",
            subtitle=[
                "0 % (red): as before fine-tuning; 100 % (green): as after it.",
                "Open diamonds are controls: the same neurons, held at the first model's means.",
                "Bars are bootstrap intervals over prompts",
            ],
        ),
    ).resolve_scale(y="independent", color="independent")


def _effects(shares: pd.DataFrame, models: list[str]) -> alt.FacetChart:
    known = shares[np.isfinite(shares["value"])]
    values = [0.0, 1.0, *known["value"]]
    ends = np.clip([0.0, *known["low"], *known["high"]], *WIDEST)
    low, high = min(*values, *ends), max(*values, *ends)
    margin = 0.03 * (high - low)
    x = alt.X("value:Q", title="share of the effect (%)")
    x = x.scale(domain=[low - margin, high + margin], nice=False, zero=False)
    x = x.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=7)
    y = alt.Y("model:N", title=None, sort=models).axis(ticks=False, labelPadding=8)
    tooltip = ["label:N", "kind:N", "model:N"]
    tooltip += [alt.Tooltip(f"{column}:Q", format=".1%") for column in ("value", "low", "high")]

    base = alt.Chart(shares).encode(x=x, y=y, tooltip=tooltip)
    kinds = {kind: base.transform_filter(f"datum.kind == '{kind}'") for kind in ("row", "control")}
    layers = [
        base.mark_rule(color=colour, strokeWidth=1.2, opacity=0.8)
        .encode(x=alt.X(datum=place), y=alt.value(0), y2=alt.value(ROW * len(models)))
        .transform_filter(f"datum.model == {models[0]!r} && datum.kind == 'row'")
        for place, colour in ((0, BEFORE), (1, AFTER))
    ]
    for kind, colour, offset in (("control", "#808080", 5), ("row", "#303030", -3)):
        layers.append(
            kinds[kind]
            .transform_filter("isValid(datum.value)")
            .mark_rule(color=colour, strokeWidth=1.4, clip=True, yOffset=offset)
            .encode(x="low:Q", x2="high:Q")
        )
    layers += [
        kinds["control"].mark_point(
            shape="diamond", fill="white", stroke="#808080", size=55, opacity=1, yOffset=5
        ),
        kinds["row"].mark_point(
            shape="diamond", filled=True, color="#303030", size=75, opacity=1, yOffset=-3
        ),
        kinds["row"]
        .transform_filter("!isValid(datum.value)")
        .mark_text(align="left", color="#707070", fontSize=11, text="undefined")
        .encode(x=alt.value(6)),
    ]
    order = list(dict.fromkeys(shares["label"]))
    header = alt.Header(labelAngle=0, labelAlign="left", labelFontSize=13, labelPadding=10)
    blocks = alt.Row("label:N", title=None, sort=order, header=header)
    layered = alt.layer(*layers).properties(width=WIDTH, height=ROW * len(models))
    return layered.facet(row=blocks, spacing=8)


def _groups(groups: pd.DataFrame, models: list[str], direction_name: str) -> alt.LayerChart:
    share = alt.X("start:Q", title="share of the reduction by the four reducing groups (%)")
    share = share.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=5)
    share = share.scale(domain=[min(0.0, groups["start"].min()), max(1.0, groups["end"].max())])
    y = alt.Y("model:N", title=None, sort=models).axis(ticks=False, labelPadding=8)
    tooltip = ["model:N", "group:N"]
    tooltip += [alt.Tooltip(f"{column}:Q", format=".1%") for column in ("share", "low", "high")]
    base = alt.Chart(groups).encode(y=y, tooltip=tooltip)
    colour = group_colour(groups["group"], group_legend())
    labels = base.transform_calculate(
        middle="(datum.start + datum.end) / 2", label="format(datum.share, '.0%')"
    ).transform_filter("datum.share >= 0.06")
    ink = alt.condition(
        alt.FieldOneOfPredicate("group", PALE), alt.value("black"), alt.value("white")
    )
    return alt.layer(
        base.mark_bar(height=24).encode(x=share, x2="end:Q", color=colour),
        labels.mark_text(fontWeight="bold").encode(x="middle:Q", text="label:N", color=ink),
        title=alt.Title(
            f"Groups by the {direction_name} direction",
            fontSize=13,
            fontWeight="normal",
            offset=6,
        ),
    ).properties(width=330, height=36 * len(models))


def main() -> None:
    """Read the comparison, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparison", type=Path, required=True, help="comparison csv")
    parser.add_argument("--interventions", nargs="*", required=True, help="blocks, in order")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    parser.add_argument(
        "--output-stem", type=Path, required=True, help="path of the four files less their endings"
    )
    arguments = parser.parse_args()

    comparison = read_csv(arguments.comparison, COLUMNS)
    shares, groups = aggregate(comparison, arguments.interventions)
    write_figure(chart(shares, groups, arguments.direction_name), arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
