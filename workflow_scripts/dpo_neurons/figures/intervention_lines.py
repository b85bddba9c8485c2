"""Interventions as lines of a figure: names at the left, a column of marks per measure.

Lines are in a panel per kind, each control below its row, and all panels share one scale.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import (
    KINDS,
    REFERENCES,
    drawn_kinds,
    intervention_labels,
)
from dpo_neurons.figures.style import AFTER, BEFORE, PLAIN_NUMBERS, LayeredChart

PANELS = {"": "Before and after fine-tuning", **KINDS, "control": "Other controls"}
"""Title of each panel, in order. A control is in the panel of the row that it controls."""
COLOURS = {
    "none": BEFORE,
    "dpo": AFTER,
    "control": "#808080",
    "row": "#303030",
    "broken": "#A0A0A0",
}
"""Colour of each role; a row is broken if its model no longer writes."""
SHAPES = {"none": "circle", "dpo": "square", "control": "diamond", "row": "diamond"}
"""Shape of the points of each role."""
LINE, CONTROL_LINE, TITLE_LINE = 18, 14, 34
"""Heights of a row's line, a control's line and a panel's title in pixels."""
NAMES_END = -10
"""Where names end, in pixels from the first column."""


def place_lines(rows: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Sort interventions into lines: by panel, in their order, each control below its row.

    rows: one row per intervention, with intervention, kind, control_of, no_longer_writes and the
    measures. Returns them in order, control_of left out, with panel (a key of PANELS), role (a key
    of COLOURS), label, and place (of the line's middle, in pixels from the top); of each control
    also row_place and row_<measure>, the place and measures of its row. The latter are NaN unless
    both models write.
    """
    kinds = drawn_kinds(rows["kind"])
    by_name = rows.assign(kind=kinds, position=np.arange(len(rows))).set_index("intervention")
    # A control whose row is not drawn is a row of its own.
    owner = rows["control_of"].where((kinds == "control") & rows["control_of"].isin(by_name.index))
    is_below = owner.notna()
    panel = owner.map(by_name["kind"]).fillna(kinds)
    role = kinds.where(kinds.isin([*REFERENCES, "control"]), "row")
    broken = rows["no_longer_writes"].astype(bool)
    data = rows.drop(columns="control_of").assign(
        panel=panel.mask(panel.isin(REFERENCES), ""),
        role=role.mask(broken, "broken"),
        label=np.where(is_below, "control", intervention_labels(rows["intervention"])),
    )
    both_write = ~broken & ~owner.isin(rows["intervention"][broken])
    for measure in measures:
        data[f"row_{measure}"] = owner.map(by_name[measure]).where(both_write)
    order = pd.DataFrame(
        {
            "panel": data["panel"].map(list(PANELS).index),
            "row": owner.map(by_name["position"]).fillna(pd.Series(range(len(rows)), rows.index)),
            "below": is_below,
        }
    ).sort_values(["panel", "row", "below"], kind="stable")
    data = data.loc[order.index]
    steps = np.where(order["below"], CONTROL_LINE, LINE)
    opens_panel = data["panel"] != data["panel"].shift()
    data["place"] = np.cumsum(steps + TITLE_LINE * opens_panel) - steps / 2
    data["row_place"] = owner.map(data.set_index("intervention")["place"])
    return data.reset_index(drop=True)


def describe_lines(data: pd.DataFrame) -> list[str]:
    """Describe the marks of these lines, for a subtitle. data: of `place_lines`."""
    lines = ["Bars: intervals over prompts"]
    if data["role"].isin(REFERENCES).any():
        lines[0] += ". Dashed: before (none) and after (dpo) fine-tuning"
    if data["row_place"].notna().any():
        lines.append("Open diamonds: the control of the row above, joined to it")
    if data["no_longer_writes"].any():
        lines.append("Grey: the model no longer writes, so its toxicity says nothing")
    return lines


def draw_names(data: pd.DataFrame) -> list[alt.Chart]:
    """Draw the names of the lines and the titles of the panels, left of the first column."""
    titles = data.groupby("panel", sort=False, as_index=False)["place"].min()
    titles = titles.assign(title=titles["panel"].map(PANELS), place=titles["place"] - LINE)
    text: dict[str, Any] = {"align": "right", "baseline": "middle"}
    end = alt.value(NAMES_END)
    height = height_of_lines(data)
    return [
        draw_at_place(titles, height)
        .mark_text(fontWeight="bold", **text)
        .encode(x=end, text="title:N"),
        draw_at_place(data, height)
        .mark_text(fontSize=11, **text)
        .encode(x=end, text="label:N", color=role_colour()),
    ]


def draw_column(
    data: pd.DataFrame,
    measure: str,
    x: alt.X,
    ticks: dict[str, Any],
    width: int,
    marks: Sequence[alt.Chart],
) -> LayeredChart:
    """Draw one measure of all lines: points with intervals, and lines at none and dpo.

    data: of `place_lines`, with <measure>_low and <measure>_high. x: the measure's scale
    and title. ticks: settings of its axis, which is drawn at both ends of the column. marks: drawn
    below the points.
    """
    height = height_of_lines(data)
    ends = (measure, f"{measure}_low", f"{measure}_high")
    values = [alt.Tooltip(f"{end}:Q", format=".4g") for end in ends]
    shape = alt.Shape("role:N", legend=None)
    shape = shape.scale(domain=list(SHAPES), range=list(SHAPES.values()))
    low, value = (alt.X(f"{name}:Q", axis=None) for name in (f"{measure}_low", measure))
    lines = draw_at_place(data, height)
    unseen = lines.mark_point(opacity=0)
    writing = lines.transform_filter("datum.role != 'broken'")
    writing = writing.encode(tooltip=["intervention:N", *values], color=role_colour())
    references = alt.Chart(data[data["role"].isin(REFERENCES)])
    is_control = "datum.role == 'control'"
    column: LayeredChart = (
        alt.layer(
            unseen.encode(x=x.axis(**ticks, labelExpr=PLAIN_NUMBERS)),
            unseen.encode(
                x=x.axis(**ticks, labelExpr=PLAIN_NUMBERS, orient="top", grid=False).title(None)
            ),
            references.mark_rule(strokeDash=[5, 4], opacity=0.8).encode(
                x=value, color=role_colour()
            ),
            *marks,
            lines.transform_filter(f"isValid(datum.row_{measure})")
            .mark_rule(color=COLOURS["control"])
            .encode(x=value, x2=f"row_{measure}:Q", y2="row_place:Q"),
            writing.mark_rule(strokeWidth=1.6, clip=True).encode(x=low, x2=f"{measure}_high:Q"),
            writing.transform_filter(is_control)
            .mark_point(fill="white", size=40, opacity=1, strokeWidth=1.6)
            .encode(x=value, shape=shape),
            writing.transform_filter(f"!({is_control})")
            .mark_point(filled=True, size=60, opacity=1)
            .encode(x=value, shape=shape),
        )
        .resolve_axis(x="independent")
        .properties(width=width, height=height)
    )
    return column


def draw_silence(data: pd.DataFrame) -> list[alt.Chart]:
    """Say on the lines of broken rows that their model no longer writes."""
    broken = draw_at_place(data, height_of_lines(data)).transform_filter("datum.role == 'broken'")
    said = broken.encode(x=alt.value(6), text=alt.value("no longer writes"))
    text: dict[str, Any] = {"align": "left", "baseline": "middle", "fontSize": 11}
    # The outline keeps lines off the text.
    return [
        said.mark_text(stroke="white", strokeWidth=5, **text),
        said.mark_text(color=COLOURS["broken"], **text).encode(tooltip=["intervention:N"]),
    ]


def draw_at_place(data: pd.DataFrame, height: float) -> alt.Chart:
    """Return a chart of the data whose marks are on their lines. height: of all lines."""
    scale = alt.Scale(domain=[0, height], reverse=True, nice=False)
    placed: alt.Chart = alt.Chart(data).encode(y=alt.Y("place:Q", axis=None, scale=scale))
    return placed


def height_of_lines(data: pd.DataFrame) -> float:
    """Return the height of all lines in pixels. data: of `place_lines`."""
    return float(data["place"].max()) + LINE if len(data) else LINE


def role_colour() -> alt.Color:
    """Return the colour channel of the field `role`."""
    colour: alt.Color = alt.Color("role:N", legend=None).scale(
        domain=list(COLOURS), range=list(COLOURS.values())
    )
    return colour
