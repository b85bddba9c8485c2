"""Figure 18: the rewards of preference pairs while a model is tuned.

x: optimiser steps. Above, y: mean reward of the chosen and the rejected answers, β · log(π/π_ref)
(Rafailov et al. 2023, arXiv 2305.18290), where 0 is the first model, or what another objective
implies. Below, y: share of pairs whose
chosen answer has the larger reward. Points are held-out pairs; pale lines the pairs tuned on.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import AFTER, BEFORE, PLAIN_NUMBERS, LayeredChart

COLUMNS = ("step", "pairs", "chosen_reward", "rejected_reward", "accuracy")
"""Columns of the file of rewards that are drawn."""
ANSWERS = {"chosen": AFTER, "rejected": BEFORE}
SMOOTHED_STEPS = 10
"""Steps whose pairs are averaged for a pale line: a step has only a few pairs."""
WIDTH, HEIGHT = 520, 190


def aggregate(rewards: pd.DataFrame) -> pd.DataFrame:
    """Average the tuned pairs over steps, and put chosen and rejected rewards in rows.

    rewards: a row a step or measurement, COLUMNS. Returns step, pairs, quantity ("chosen",
    "rejected", "accuracy") and value.
    """
    parts = []
    for pairs, rows in rewards[list(COLUMNS)].groupby("pairs", sort=False):
        values = rows.set_index("step").drop(columns="pairs")
        if pairs == "tuned":
            values = values.rolling(SMOOTHED_STEPS, min_periods=1).mean()
        values = values.rename(columns=lambda name: name.removesuffix("_reward"))
        long = values.reset_index().melt("step", var_name="quantity", value_name="value")
        parts.append(long.assign(pairs=pairs))
    return pd.concat(parts, ignore_index=True)[["step", "pairs", "quantity", "value"]]


def chart(data: pd.DataFrame, model: str) -> alt.TopLevelMixin:
    """Draw the rewards above the accuracy; data: as aggregated."""
    held_out = data[data["pairs"] == "held_out"]
    subtitle = f"{model}: means of {SMOOTHED_STEPS} steps' pairs (pale)"
    if not held_out.empty:
        last = held_out.loc[held_out["quantity"] == "accuracy", "value"].iloc[-1]
        subtitle += f", held-out pairs (points), whose accuracy at the end is {last:.0%}"
    return alt.vconcat(
        _panel(data[data["quantity"] != "accuracy"], "mean reward", None),
        _panel(data[data["quantity"] == "accuracy"], "chosen above rejected", "step"),
        spacing=14,
        title=alt.Title("Rewards while DPO tunes", subtitle=subtitle),
    )


def _panel(data: pd.DataFrame, title: str, x_title: str | None) -> LayeredChart:
    is_share = x_title is not None
    axis = alt.Axis(tickCount=5, format="%")
    if not is_share:
        axis = alt.Axis(tickCount=5, labelExpr=PLAIN_NUMBERS)
    y = alt.Y("value:Q", title=title, axis=axis)
    if is_share:
        y = y.scale(domain=[0, 1])
    colour = alt.Color("quantity:N", title=None).scale(
        domain=[*ANSWERS, "accuracy"], range=[*ANSWERS.values(), "#404040"]
    )
    base = alt.Chart(data).encode(
        x=alt.X("step:Q", title=x_title).axis(grid=False),
        y=y,
        color=colour if not is_share else alt.value("#404040"),
        tooltip=["step:Q", "pairs:N", "quantity:N", alt.Tooltip("value:Q", format=".4g")],
    )
    held_out = base.transform_filter("datum.pairs == 'held_out'")
    return alt.layer(
        base.transform_filter("datum.pairs == 'tuned'").mark_line(opacity=0.4, strokeWidth=1.5),
        held_out.mark_line(strokeWidth=2),
        held_out.mark_point(filled=True, size=50, opacity=1),
    ).properties(width=WIDTH, height=HEIGHT)
