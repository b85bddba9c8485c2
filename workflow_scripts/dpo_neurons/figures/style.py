"""Style of all figures: colours, theme, scales; the files of a figure."""

import argparse
import html
import json
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, cast

import altair as alt
import numpy as np
import vl_convert

from dpo_neurons.files.output_files import whole_file, write_text
from dpo_neurons.neurons.groups import GROUPS, UNCHANGED

# Toxic groups are warm, anti-toxic ones cool. A raising group has its mirror's colour, paler.
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
"""Colour of each group; groups shown together also differ in protanopia and deuteranopia."""

BEFORE, ABLATED, AFTER = "#A50026", "#E6A800", "#1A9E77"
"""Colours of three models: before fine-tuning, the same under an ablation, after fine-tuning."""

UNCORRECTED = "#8A8A8A"
"""Colour of published numbers that choose and sum neurons on the same prompts."""

GROUP_LABEL_EXPR = "replace(replace(datum.label, '-', '₋'), '+', '₊')"
"""Vega expression that writes a group's sign as a subscript, for axes, legends and headers."""

PLAIN_NUMBERS = "format(datum.value, '~g')"
"""Vega expression for an axis' labels. An axis' own format, ~g, would write 20 as 2e+1."""

FONT = "DejaVu Sans, sans-serif"
"""DejaVu Sans has the subscript signs. Without any font no text would be drawn."""

LayeredChart = alt.LayerChart | alt.FacetChart
"""The type that alt.layer returns: a LayerChart, unless a layer has facets."""

MAX_JSON_BYTES = 2_000_000
"""Largest size of a Vega-Lite specification."""

OFFLINE_MENU = {"actions": {"export": True, "source": True, "compiled": False, "editor": False}}
"""Entries of a page's menu that need no network."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{name}</title>
<style>.vega-embed details, .vega-embed summary {{ position: relative; }}</style>
<script>{vega}</script>
</head>
<body>
<div id="figure"></div>
<script>vegaEmbed("#figure", {spec}, {options}).catch(console.error);</script>
</body>
</html>
"""
"""A page with one figure, and the scripts that draw it."""


def theme() -> alt.theme.ThemeConfig:
    """Return the Altair theme of all figures."""
    text = {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"}
    settings: dict[str, Any] = {
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
    return cast("alt.theme.ThemeConfig", settings)


def add_figure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all figures of one model have."""
    parser.add_argument("--model", required=True, help="name of the model, for the titles")
    add_output_argument(parser)


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a figure is written, and what draws its page."""
    parser.add_argument("--vega", type=Path, required=True, help="of bundle_vega, JavaScript")
    parser.add_argument(
        "--output-stem",
        type=Path,
        required=True,
        help="path of the four files, without an ending",
    )


def order_groups(groups: Iterable[str]) -> list[str]:
    """Return the distinct groups in order: reducing ones, raising ones, unchanged."""
    present = set(groups)
    return [group for group in (*GROUPS, UNCHANGED) if group in present]


def group_colour(groups: Iterable[str], legend: alt.Legend | None) -> alt.Color:
    """Return the colour channel of the field `group`, with these groups in its domain."""
    present = order_groups(groups)
    scale = alt.Scale(domain=present, range=[GROUP_COLOURS[group] for group in present])
    return alt.Color("group:N", scale=scale, legend=legend)


def group_legend() -> alt.Legend:
    """Return the legend of the groups, with mirror groups below each other."""
    return alt.Legend(title=None, labelExpr=GROUP_LABEL_EXPR, columns=4, symbolType="square")


def subscript_signs(text: str) -> str:
    """Write the sign of each group's name as a subscript: TP- becomes TP₋."""
    for group in GROUPS:
        text = text.replace(group, group.replace("-", "₋").replace("+", "₊"))
    return text


def median_size(values: np.ndarray) -> float:
    """Return the median size of finite values other than zero, or 1."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.median(sizes)) if sizes.size else 1.0


def symlog_scale(values: np.ndarray, constant: float | None = None) -> tuple[alt.Scale, alt.Axis]:
    """Return a symmetric log scale for values of both signs, and its axis.

    The scale is linear up to about `constant` (default: the values' median size) and logarithmic
    beyond it. A few large values therefore do not hide the differences of small ones.
    """
    values = values[np.isfinite(values)]
    sizes = np.abs(values[values != 0])
    constant = median_size(values) if constant is None else constant
    low = min(float(np.min(values, initial=0.0)), 0.0)
    high = max(float(np.max(values, initial=0.0)), 0.0)
    if not sizes.size:
        low, high = -constant, constant
    ends = np.sign([low, high]) * np.log1p(np.abs([low, high]) / constant)
    margin = 0.05 * (ends[1] - ends[0])
    ends += [-margin, margin]
    domain = np.sign(ends) * np.expm1(np.abs(ends)) * constant
    scale = alt.Scale(type="symlog", constant=constant, domain=domain.tolist(), nice=False)
    ticks = _symlog_ticks(constant, low, high, ends[1] - ends[0])
    # Without an explicit count, Vega drops every other tick of a short axis, even zero.
    axis = alt.Axis(values=ticks, tickCount=len(ticks), labelExpr=PLAIN_NUMBERS, labelOverlap=False)
    return scale, axis


def _symlog_ticks(constant: float, low: float, high: float, span: float) -> list[float]:
    """Return ticks between low and high: zero, and ±1 and ±3 times powers of ten.

    span: length of the axis after the scale's transform.
    """
    ticks = [0.0]
    for exponent in range(-12, 13):
        for digit in (1, 3):
            size = float(f"{digit}e{exponent}")
            place = np.log1p(size / constant)
            # Neighbouring ticks are at least a ninth of the axis apart.
            apart = place - np.log1p(max(ticks) / constant) > span / 9
            if apart and size <= max(-low, high):
                ticks.append(size)
    return sorted([-tick for tick in ticks[1:] if tick <= -low] + [t for t in ticks if t <= high])


def log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a log axis from low to high: 1, 2, 3 and 5 times powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 3, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def empty_figure(title: str, reason: str) -> LayeredChart:
    """Draw a figure of one sentence: the reason why a study has nothing to draw."""
    text = alt.Chart().mark_text(align="left", fontSize=13).encode(text=alt.value(reason))
    text = text.encode(x=alt.value(0), y=alt.value(20))
    return alt.layer(text, title=alt.Title(title)).properties(width=520, height=40)


def write_figure(chart: alt.TopLevelMixin, stem: Path, vega: Path) -> None:
    """Write a chart as Vega-Lite JSON, self-contained page, vector and picture.

    The files are `stem`.json, .html, .svg and .png. vega: the scripts that draw the page. Raises
    ValueError if the JSON is larger than MAX_JSON_BYTES: aggregate the data first.
    """
    alt.theme.register("dpo_neurons", enable=False)(theme)
    with alt.theme.enable("dpo_neurons"):
        _write_files(chart, stem, vega)


def _write_files(chart: alt.TopLevelMixin, stem: Path, vega: Path) -> None:
    # Each part was validated when it was made.
    parsed = json.loads(chart.to_json(indent=None, validate=False))
    description = describe_figure(parsed)
    spec = json.dumps({"description": description, **parsed})
    if (size := len(spec.encode())) > MAX_JSON_BYTES:
        raise ValueError(f"{stem}: {size:,} bytes of JSON; aggregate the data further")
    page = PAGE.format(
        name=html.escape(stem.name),
        vega=vega.read_text(encoding="utf-8"),
        # No text of the figure can end the element.
        spec=spec.replace("<", "\\u003c"),
        options=json.dumps(OFFLINE_MENU),
    )
    vector = vl_convert.vegalite_to_svg(spec)
    named = f'<svg role="img" aria-label="{html.escape(description)}" '
    vector = vector.replace("<svg ", named, 1)
    # The picture is made of the vector: drawing it anew takes longer.
    plain = vector if _has_signs() else vl_convert.vegalite_to_svg(_with_plain_signs(chart))
    for extension, content in (("json", spec), ("html", page), ("svg", vector)):
        write_text(stem.with_name(f"{stem.name}.{extension}"), content)
    with whole_file(stem.with_name(f"{stem.name}.png")) as partial:
        partial.write_bytes(vl_convert.svg_to_png(plain, scale=2))


def describe_figure(spec: dict[str, Any]) -> str:
    """Describe a figure to those who do not see it, by its title and subtitle."""
    title = spec.get("title", "")
    if not isinstance(title, dict):
        return str(title)
    lines = title.get("subtitle", [])
    return ". ".join([title["text"], *([lines] if isinstance(lines, str) else lines)])


@cache
def _has_signs() -> bool:
    """Return whether this machine's fonts have the subscript signs."""
    # Fonts draw the same empty box for all characters that they lack.
    pictures = [
        vl_convert.svg_to_png(
            '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30">'
            f'<text y="20" font-family="{FONT}">{character}</text></svg>'
        )
        for character in ("₋", "\U0010fffd")
    ]
    return pictures[0] != pictures[1]


def _with_plain_signs(chart: alt.TopLevelMixin) -> str:
    """Return the chart's JSON with − and + in place of the subscript signs."""
    return chart.to_json(ensure_ascii=False).replace("₋", "−").replace("₊", "+")
