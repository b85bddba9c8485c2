"""Figure 7: cancellation and concentration of reductions, by layer.

Not a figure of the papers. Four panels over the MLP layers: reducing, raising and net sums, in the
units of the residual stream; the share of the reducing sum that raising neurons take back, in per
cent; the share of the layer's neurons that carry the reducing sum, in per cent; the Gini
coefficient of the reductions' sizes, 0 to 1.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import LayeredChart
from dpo_neurons.neurons.cancellation import ALL_LAYERS, SHARES

SUMS = ("reducing", "raising", "net", "cancelled")
COLUMNS = (
    "layer",
    "neurons",
    *(f"{name}{end}" for name in (*SUMS, *SHARES) for end in ("", "_low", "_high")),
    "gini",
)
"""Columns of the cancellation file that are drawn."""
REDUCING, RAISING, NET = "#9C9C9C", "#D4D4D4", "#101010"
"""Greys, because colours stand for groups in all figures."""
WIDTH = 640
"""Size of each panel in pixels."""


def aggregate(cancellation: pd.DataFrame) -> pd.DataFrame:
    """Sort the layers, the whole model last, and add counts of neurons as shares.

    cancellation: one row per layer and one for the whole model, as in its file. Returns
    its COLUMNS, order, and share_neurons_50, share_neurons_90 and share_neurons_99 with their
    intervals: shares of the layer's neurons. `cancelled` is empty where nothing reduces.
    """
    data = cancellation[list(COLUMNS)].copy()
    for name in SHARES:
        for end in ("", "_low", "_high"):
            data[f"share_{name}{end}"] = data[f"{name}{end}"] / data["neurons"]
    data["order"] = pd.to_numeric(data["layer"], errors="coerce")
    return data.sort_values("order", kind="stable", ignore_index=True)


def chart(data: pd.DataFrame, model: str, direction_name: str) -> alt.VConcatChart:
    """Draw sums, share cancelled, carrying neurons and Gini coefficient by layer."""
    layers = data[data["layer"] != ALL_LAYERS].drop(columns="order")
    whole = data[data["layer"] == ALL_LAYERS].iloc[0]
    names = layers["layer"].tolist()
    bottom = alt.X("layer:O", title="MLP layer (first = 0)", sort=names)
    bottom = bottom.axis(labelAngle=0, labelOverlap=True)
    x = bottom.axis(labels=False, ticks=False).title(None)
    base = alt.Chart(layers).properties(width=WIDTH)
    cancelled = f"{whole['cancelled']:.0%}" if pd.notna(whole["cancelled"]) else "nothing"
    counts = ", ".join(f"{whole[name]:,.0f} carry {share:.0%}" for name, share in SHARES.items())
    figure: alt.VConcatChart = alt.vconcat(
        _sums(base, x, direction_name),
        _cancelled(base, x, whole),
        _carriers(base, x),
        _gini(base, bottom, whole),
        spacing=14,
        title=alt.Title(
            "How reducing and raising neurons cancel, by layer",
            subtitle=[
                f"{model}: raising neurons take back {cancelled} of the reducing neurons' sum;",
                f"of {whole['neurons']:,} neurons, {counts} of that sum. Bars: intervals over "
                "prompts",
            ],
        ),
    ).resolve_scale(color="independent", shape="independent")
    return figure


def _sums(base: alt.Chart, x: alt.X, direction_name: str) -> LayeredChart:
    """Draw reducing and raising sums as bars, and the net as a point."""
    names = ["reducing", "raising", "net"]
    colour = alt.Color("side:N", title=None).scale(domain=names, range=[REDUCING, RAISING, NET])
    title = ["reduction of projection", f"on {direction_name} direction"]
    folded = base.transform_fold([*names], as_=["side", "reduction"]).transform_calculate(
        low="datum[datum.side + '_low']", high="datum[datum.side + '_high']"
    )
    folded = folded.encode(x=x, tooltip=_tooltip("reducing", "raising", "net"))
    bars = folded.transform_filter("datum.side != 'net'")
    net = folded.transform_filter("datum.side == 'net'")
    return alt.layer(
        bars.mark_bar().encode(y=alt.Y("reduction:Q", title=title).stack(None), color=colour),
        bars.mark_rule(strokeWidth=1.4, xOffset=-5).encode(y="low:Q", y2="high:Q"),
        net.mark_rule(strokeWidth=1.4, xOffset=5).encode(y="low:Q", y2="high:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        net.mark_point(fill="white", size=45, opacity=1, strokeWidth=1.6, xOffset=5).encode(
            y="reduction:Q", stroke=alt.value(NET)
        ),
    ).properties(width=WIDTH, height=180)


def _cancelled(base: alt.Chart, x: alt.X, whole: pd.Series) -> LayeredChart:
    """Draw the share of the reducing sum that raising neurons take back."""
    percent = "format(datum.value * 100, '~r')"
    y = alt.Y("cancelled:Q", title=["share taken back by", "raising neurons (%)"])
    y = y.axis(labelExpr=percent, tickCount=5)
    reducing = base.transform_filter("isValid(datum.cancelled)")
    reducing = reducing.encode(x=x, tooltip=_tooltip("cancelled"))
    return alt.layer(
        reducing.mark_bar(color=RAISING).encode(y=y),
        reducing.mark_rule(strokeWidth=1.4, color="black").encode(
            y="cancelled_low:Q", y2="cancelled_high:Q"
        ),
        *_all_layers(whole["cancelled"]),
    ).properties(width=WIDTH, height=110)


def _carriers(base: alt.Chart, x: alt.X) -> LayeredChart:
    """Draw the share of neurons that carries 50, 90 and 99 % of the reducing sum."""
    names = [f"share_{name}" for name in SHARES]
    labels = [f"{share:.0%} of the reducing sum" for share in SHARES.values()]
    series = alt.Color("carried:N", title=None, sort=names).scale(
        domain=names, range=["#1B1B1B", "#737373", "#B0B0B0"]
    )
    pairs = " : ".join(
        f"datum.label == '{n}' ? '{label}'" for n, label in zip(names, labels, strict=True)
    )
    series = series.legend(labelExpr=f"{pairs} : ''")
    shape = alt.Shape("carried:N", title=None, sort=names).legend(labelExpr=f"{pairs} : ''")
    shape = shape.scale(domain=names, range=["circle", "square", "triangle-up"])
    title = ["neurons that carry", "it (% of the layer's)"]
    y = alt.Y("share:Q", title=title).axis(labelExpr="format(datum.value * 100, '~r')", tickCount=5)
    folded = base.transform_fold([*names], as_=["carried", "share"]).transform_calculate(
        low="datum[datum.carried + '_low']", high="datum[datum.carried + '_high']"
    )
    folded = folded.encode(x=x, color=series, tooltip=_tooltip(*SHARES))
    return alt.layer(
        folded.mark_line(strokeWidth=1.2).encode(y=y),
        folded.mark_rule(strokeWidth=1.2).encode(y="low:Q", y2="high:Q"),
        folded.mark_point(filled=True, size=45, opacity=1).encode(y="share:Q", shape=shape),
    ).properties(width=WIDTH, height=130)


def _gini(base: alt.Chart, x: alt.X, whole: pd.Series) -> LayeredChart:
    """Draw the Gini coefficient of the sizes of all reductions."""
    y = alt.Y("gini:Q", title=["Gini coefficient", "of |reduction|"]).scale(domain=[0, 1])
    points = base.encode(x=x, tooltip=_tooltip("gini"))
    return alt.layer(
        points.mark_line(color="#1B1B1B", strokeWidth=1.2).encode(y=y.axis(tickCount=5)),
        points.mark_point(color="#1B1B1B", filled=True, size=45, opacity=1).encode(y="gini:Q"),
        *_all_layers(whole["gini"]),
    ).properties(width=WIDTH, height=110)


def _all_layers(value: float) -> list[alt.Chart]:
    """Draw a labelled line at the whole model's value, if it is defined."""
    if pd.isna(value):
        return []
    line = alt.Chart().encode(y=alt.datum(float(value)))
    return [
        line.mark_rule(color="#606060", strokeDash=[4, 4]),
        line.mark_text(align="left", dx=5, color="#404040").encode(
            x=alt.value(WIDTH), text=alt.value("all layers")
        ),
    ]


def _tooltip(*names: str) -> list[str | alt.Tooltip]:
    """Return the tooltip of a layer: these columns with their intervals."""
    ends = ("", "_low", "_high")
    fields = [f"{name}{end}" for name in names for end in (ends if name != "gini" else ("",))]
    return ["layer:O", "neurons:Q", *[alt.Tooltip(f"{field}:Q", format=".4g") for field in fields]]
