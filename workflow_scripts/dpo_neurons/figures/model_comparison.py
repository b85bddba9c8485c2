"""Figure 16: shares of fine-tuning's effect under interventions, by model.

After the comparison of models of Yang et al. (arXiv 2411.06424v3). Left, a block an intervention:
x is the share of the effect on mean toxicity, in per cent, y the model. Right: x is each group's
share of the joint reduction of the four reducing groups, in per cent: above, cross-fitted; the
narrow bars below, as published, not corrected for selection, and the mean along random directions.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.evaluation.model_comparison import SHOWN_KINDS
from dpo_neurons.figures.drawn_interventions import intervention_labels
from dpo_neurons.figures.style import AFTER, BEFORE, LayeredChart, group_colour, group_legend
from dpo_neurons.neurons.groups import REDUCING

COLUMNS = ("model", "quantity", "of", "kind", "control_of", "value", "low", "high")
"""Columns of the comparison file."""
BARS = {
    "group_crossfitted_share": "cross-fitted",
    "group_share": "published",
    "group_random_share": "random directions",
}
"""Which bar the shares of groups of each quantity make."""
WIDEST = (-1.5, 3.0)
"""Intervals are cut off beyond these shares, unless a share itself lies beyond them."""
WIDTH, ROW = 430, 22
"""Sizes of the blocks, and of a model's row in them, in pixels."""
PALE = ["TN+", "AP+"]
"""Groups whose colours need dark letters on them."""


def aggregate(comparison: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the shares of the effect, and the shares of groups.

    comparison: a row a number, as in the comparison file. Returns two tables. Shares of the effect:
    model, intervention, kind ("row"; "control" or "random", of its random sets), label, value, low,
    high.
    Shares of groups: model, group, share, low, high, start and end (of the group's part in the bar
    of its model), and bar (one of BARS). Undefined shares are NaN.
    """
    return _shares_of_effect(comparison), _shares_of_groups(comparison)


def _shares_of_effect(comparison: pd.DataFrame) -> pd.DataFrame:
    """List patches, shifts and ablations, each followed by its control and its random sets."""
    effects = comparison[comparison["quantity"] == "effect_share"]
    random = comparison[comparison["quantity"] == "random_share"]
    columns = ["model", "value", "low", "high", "intervention", "kind", "label"]
    parts = [effects[:0].assign(intervention="", kind="", label="")[columns]]
    names = effects.loc[effects["kind"].isin(SHOWN_KINDS), "of"].drop_duplicates()
    for name, label in zip(names, intervention_labels(names), strict=True):
        is_control = (effects["kind"] == "control") & (effects["control_of"] == name)
        for kind, rows in (
            ("row", effects[effects["of"] == name]),
            ("control", effects[is_control]),
            ("random", random[random["of"] == name]),
        ):
            parts.append(rows.assign(intervention=name, kind=kind, label=label)[columns])
    return pd.concat(parts, ignore_index=True)


def _shares_of_groups(comparison: pd.DataFrame) -> pd.DataFrame:
    """Shares of the four reducing groups, with their places in the bar of their model."""
    bars = comparison["quantity"].map(BARS)
    groups = comparison.assign(bar=bars)[bars.notna() & comparison["of"].isin(REDUCING)]
    groups = groups[["model", "of", "value", "low", "high", "bar"]]
    groups = groups.rename(columns={"of": "group", "value": "share"})
    groups = groups.assign(end=groups.groupby(["model", "bar"], sort=False)["share"].cumsum())
    groups = groups.assign(start=groups["end"] - groups["share"])
    return groups.reset_index(drop=True)


def chart(shares: pd.DataFrame, groups: pd.DataFrame, direction_name: str) -> alt.HConcatChart:
    """Draw the shares of the effect, and the groups' shares.

    shares, groups: of `aggregate`.
    """
    models = list(dict.fromkeys(groups["model"]))
    figure: alt.HConcatChart = alt.hconcat(
        *([_effects(shares, models)] if len(shares) else []),
        _groups(groups, models, direction_name),
        spacing=40,
        title=alt.Title(
            "Share of fine-tuning's effect on toxicity that interventions reproduce",
            subtitle=[
                "0 % (red): as before fine-tuning; 100 % (green): as after it.",
                "Open diamonds are controls: the same neurons with no shift, or a random one.",
                "Pale bands are random sets of neurons; bars are intervals over prompts",
            ],
        ),
    ).resolve_scale(y="independent", color="independent")
    return figure


def _effects(shares: pd.DataFrame, models: list[str]) -> alt.FacetChart:
    """Draw one block per intervention, with one row per model."""
    known = shares[np.isfinite(shares["value"])]
    values = [0.0, 1.0, *known["value"]]
    ends = np.clip([0.0, *known["low"], *known["high"]], *WIDEST)
    low, high = min(*values, *ends), max(*values, *ends)
    margin = 0.03 * (high - low)
    x = alt.X("value:Q", title="share of the effect (%)")
    x = x.scale(domain=[low - margin, high + margin], nice=False, zero=False)
    x = x.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=7)
    y = alt.Y("model:N", title=None, sort=models).axis(ticks=False, labelPadding=8)
    tooltip: list[str | alt.Tooltip] = ["label:N", "kind:N", "model:N"]
    tooltip += [alt.Tooltip(f"{column}:Q", format=".1%") for column in ("value", "low", "high")]

    base = alt.Chart(shares).encode(x=x, y=y, tooltip=tooltip)
    kinds = {kind: base.transform_filter(f"datum.kind == '{kind}'") for kind in ("row", "control")}
    layers = [
        base.mark_rule(color=colour, strokeWidth=1.2, opacity=0.8)
        .encode(x=alt.X(datum=place), y=alt.value(0), y2=alt.value(ROW * len(models)))
        .transform_filter(f"datum.model == {models[0]!r} && datum.kind == 'row'")
        for place, colour in ((0, BEFORE), (1, AFTER))
    ]
    layers.append(
        base.transform_filter("datum.kind == 'random' && isValid(datum.value)")
        .mark_rule(color="#C9B8DC", strokeWidth=9, clip=True, yOffset=-3)
        .encode(x="low:Q", x2="high:Q")
    )
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


def _groups(groups: pd.DataFrame, models: list[str], direction_name: str) -> LayeredChart:
    """Draw one bar per model, divided into the shares of its reducing groups."""
    share = alt.X("start:Q", title="share of the reduction by the four reducing groups (%)")
    share = share.axis(labelExpr="format(datum.value * 100, '~r')", tickCount=5)
    share = share.scale(domain=[min(0.0, groups["start"].min()), max(1.0, groups["end"].max())])
    y = alt.Y("model:N", title=None, sort=models).axis(ticks=False, labelPadding=8)
    tooltip: list[str | alt.Tooltip] = ["model:N", "group:N"]
    tooltip += [alt.Tooltip(f"{column}:Q", format=".1%") for column in ("share", "low", "high")]
    base = alt.Chart(groups).encode(y=y, tooltip=["bar:N", *tooltip])
    crossfitted = base.transform_filter("datum.bar == 'cross-fitted'")
    below = {
        offset: base.transform_filter(f"datum.bar == {bar!r}")
        for bar, offset in (("published", 9), ("random directions", 17))
    }
    undefined = crossfitted.transform_filter(
        f"!isValid(datum.share) && datum.group == '{REDUCING[0]}'"
    )
    colour = group_colour(groups["group"], group_legend())
    labels = crossfitted.transform_calculate(
        middle="(datum.start + datum.end) / 2", label="format(datum.share, '.0%')"
    ).transform_filter("datum.share >= 0.06")
    ink = alt.condition(
        alt.FieldOneOfPredicate("group", PALE), alt.value("black"), alt.value("white")
    )
    return alt.layer(
        crossfitted.mark_bar(height=18, yOffset=-5).encode(x=share, x2="end:Q", color=colour),
        *(
            bar.mark_bar(height=5, yOffset=offset).encode(x=share, x2="end:Q", color=colour)
            for offset, bar in below.items()
        ),
        labels.mark_text(fontWeight="bold", yOffset=-5).encode(
            x="middle:Q", text="label:N", color=ink
        ),
        undefined.mark_text(
            align="left", color="#707070", fontSize=11, text="undefined", yOffset=-5
        ).encode(x=alt.value(6)),
        title=alt.Title(
            f"Groups by the {direction_name} direction",
            subtitle=[
                "narrow bars: as published, not corrected for selection;",
                "below, the mean along random directions",
            ],
            fontSize=13,
            fontWeight="normal",
            offset=6,
        ),
    ).properties(width=330, height=44 * len(models))
