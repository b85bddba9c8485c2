"""What the figures share: group colours and labels, the theme, scales, and writing the files."""

import argparse
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import altair as alt
import numpy as np
import vl_convert

from dpo_neurons.files.output_files import whole_file
from dpo_neurons.neurons.groups import GROUPS, UNCHANGED

# Toxic groups are warm, anti-toxic ones cool; a raising group is its mirror's, paler.
GROUP_COLOURS = {
    "TP-": "#C44100",
    "TN+": "#EFA500",
    "AP+": "#4DB1EA",
    "AN-": "#00588F",
    "TP+": "#CF8C84",
    "TN-": "#D6BC70",
    "AP-": "#A5CDDD",
    "AN+": "#8791BF",
    UNCHANGED: "#9A9A9A",
}
"""One colour a group, told apart under protanopia and deuteranopia too."""

BEFORE, ABLATED, AFTER = "#A50026", "#E6A800", "#1A9E77"
"""Colours of the model before fine-tuning, of the same under ablation, and after fine-tuning."""

GROUP_LABEL_EXPR = "replace(replace(datum.label, '-', '₋'), '+', '₊')"
"""Vega expression that writes a group's sign as the paper does, for axes, legends and headers."""

FONT = "DejaVu Sans, sans-serif"
"""DejaVu Sans has the subscript signs; a list with no font at all would draw no text."""

MAX_JSON_BYTES = 2_000_000

OFFLINE_MENU = {"actions": {"export": True, "source": True, "compiled": False, "editor": False}}


def theme() -> alt.theme.ThemeConfig:
    """Altair theme of every figure: white ground, find_readable_labels text, no label cut off."""
    text = {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"}
    return {
        "background": "white",
        "padding": 12,
        "config": {
            "font": FONT,
            "view": {"continuousWidth": 640, "continuousHeight": 340, "stroke": None},
            "axis": {
                **text,
                "labelLimit": 0,
                "titleLimit": 0,
                "titlePadding": 10,
                "labelFlush": False,
                "gridColor": "#E8E8E8",
                "domainColor": "#707070",
                "tickColor": "#707070",
            },
            "legend": {**text, "labelLimit": 0, "titleLimit": 0, "orient": "top", "offset": 12},
            "header": {**text, "labelLimit": 0},
            "title": {
                "anchor": "start",
                "frame": "group",
                "fontSize": 16,
                "subtitleFontSize": 12,
                "subtitleColor": "#505050",
                "subtitlePadding": 6,
                "offset": 14,
                "limit": 0,
            },
            "text": {"fontSize": 12},
        },
    }


def figure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every figure has."""
    parser.add_argument("--model", required=True, help="name of the model, for the titles")
    parser.add_argument(
        "--output-stem", type=Path, required=True, help="path of the four files less their endings"
    )


def order_groups(groups: Iterable[str]) -> list[str]:
    """The groups met, once each: the reducing four, the raising four, unchanged."""
    present = set(groups)
    return [group for group in (*GROUPS, UNCHANGED) if group in present]


def group_colour(groups: Iterable[str], legend: alt.Legend | None) -> alt.Color:
    """Colour channel of the field `group` for the groups met, each in its one colour."""
    present = order_groups(groups)
    scale = alt.Scale(domain=present, range=[GROUP_COLOURS[group] for group in present])
    return alt.Color("group:N", scale=scale, legend=legend)


def group_legend() -> alt.Legend:
    """Legend of the groups above the data, a mirror group under the group it mirrors."""
    return alt.Legend(title=None, labelExpr=GROUP_LABEL_EXPR, columns=4, symbolType="square")


def pretty_group(text: str) -> str:
    """The text with each group name's sign written as the paper does: TP- becomes TP₋."""
    for group in GROUPS:
        text = text.replace(group, group.replace("-", "₋").replace("+", "₊"))
    return text


def typical_size(values: np.ndarray) -> float:
    """Median size of the values that are neither zero nor infinite; 1 if there is none."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.median(sizes)) if sizes.size else 1.0


def signed_log_scale(
    values: np.ndarray, constant: float | None = None
) -> tuple[alt.Scale, alt.Axis]:
    """Symmetric-log scale for heavy-tailed values of both signs, and the axis to it.

    Linear up to about `constant`, by default the values' typical size, and logarithmic beyond, so
    that a few large neurons do not flatten the rest.
    """
    values = values[np.isfinite(values)]
    sizes = np.abs(values[values != 0])
    constant = typical_size(values) if constant is None else constant
    low = min(float(np.min(values, initial=0.0)), 0.0)
    high = max(float(np.max(values, initial=0.0)), 0.0)
    if not sizes.size:
        low, high = -constant, constant
    ends = np.sign([low, high]) * np.log1p(np.abs([low, high]) / constant)
    margin = 0.05 * (ends[1] - ends[0])
    ends += [-margin, margin]
    domain = np.sign(ends) * np.expm1(np.abs(ends)) * constant
    scale = alt.Scale(type="symlog", constant=constant, domain=domain.tolist(), nice=False)
    ticks = _signed_log_ticks(constant, low, high, ends[1] - ends[0])
    # Without its own count Vega drops every other tick, zero too, where the axis is short.
    axis = alt.Axis(values=ticks, tickCount=len(ticks), format="~g", labelOverlap=False)
    return scale, axis


def _signed_log_ticks(constant: float, low: float, high: float, span: float) -> list[float]:
    ticks = [0.0]
    for exponent in range(-12, 13):
        for digit in (1, 3):
            size = float(f"{digit}e{exponent}")
            place = np.log1p(size / constant)
            # A tick keeps a ninth of the axis from its neighbours.
            apart = place - np.log1p(max(ticks) / constant) > span / 9
            if apart and size <= max(-low, high):
                ticks.append(size)
    return sorted([-tick for tick in ticks[1:] if tick <= -low] + [t for t in ticks if t <= high])


def nothing_to_draw(title: str, why: str) -> alt.LayerChart:
    """A figure of one sentence, for a study without what the figure shows."""
    text = alt.Chart().mark_text(align="left", fontSize=13).encode(text=alt.value(why))
    text = text.encode(x=alt.value(0), y=alt.value(20))
    return alt.layer(text, title=alt.Title(title)).properties(width=520, height=40)


def write_figure(chart: alt.TopLevelMixin, stem: Path) -> None:
    """Write a chart as Vega-Lite JSON, page that needs no network, vector and picture.

    The files are `stem`.json, .html, .svg and .png. Raises ValueError if the JSON is above 2 MB:
    the data ought to have been aggregated.
    """
    alt.theme.register("dpo_neurons", enable=False)(theme)
    with alt.theme.enable("dpo_neurons"):
        _write_files(chart, stem)


def _write_files(chart: alt.TopLevelMixin, stem: Path) -> None:
    size = len(chart.to_json(indent=None).encode())
    if size > MAX_JSON_BYTES:
        raise ValueError(f"{stem}: {size:,} bytes of JSON; aggregate the data further")
    options = {
        "json": {"json_kwds": {"indent": None}},
        "html": {"inline": True, "embed_options": OFFLINE_MENU},
        "svg": {},
        "png": {"scale_factor": 2},
    }
    for extension, how in options.items():
        with whole_file(stem.with_name(f"{stem.name}.{extension}")) as partial:
            drawn = _with_plain_signs(chart) if extension == "png" and not _has_signs() else chart
            drawn.save(str(partial), format=extension, **how)


@cache
def _has_signs() -> bool:
    # A machine without fonts draws the same empty box for any character it lacks.
    pictures = [
        vl_convert.svg_to_png(
            '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30">'
            f'<text y="20" font-family="{FONT}">{character}</text></svg>'
        )
        for character in ("₋", "\U0010fffd")
    ]
    return pictures[0] != pictures[1]


def _with_plain_signs(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    text = chart.to_json(ensure_ascii=False).replace("₋", "−").replace("₊", "+")
    return alt.Chart.from_json(text)
