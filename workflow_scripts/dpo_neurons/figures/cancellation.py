"""Figure 7: cancellation and concentration of reductions, by layer.

Not a figure of the papers. Four panels over the MLP layers: reducing, raising and net sums in the
units of the residual stream; the share taken back, in per cent; the neurons that carry the
reducing sum, in per cent of the layer's; the Gini coefficient of the reductions' sizes, 0 to 1.
Neurons are chosen on other prompts than those summed; sums and shares that are not corrected for
selection are marks beside them.
"""

import altair as alt
import pandas as pd

from dpo_neurons.figures.style import UNCORRECTED, LayeredChart
from dpo_neurons.neurons.cancellation import ALL_LAYERS, SHARES

ENDS = ("", "_low", "_high")
CROSSFITTED = tuple(f"crossfitted_{name}" for name in ("reducing", "raising", "cancelled", *SHARES))
PUBLISHED = ("reducing", "raising", "cancelled")
"""Not corrected for selection; drawn as marks."""
COLUMNS = (
    "layer",
    "neurons",
    *(f"{name}{end}" for name in ("net", *CROSSFITTED) for end in ENDS),
    *PUBLISHED,
    *SHARES,
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
    intervals: cross-fitted shares of the layer's neurons. They, and the share taken back, are empty
    unless the interval of a reducing sum lies above zero.
    """
    data = cancellation[list(COLUMNS)].copy()
    for name in SHARES:
        for end in ENDS:
            data[f"share_{name}{end}"] = data[f"crossfitted_{name}{end}"] / data["neurons"]
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
    cancelled, n_neurons = whole["crossfitted_cancelled"], f"{whole['neurons']:,} neurons"
    if pd.notna(cancelled):
        counts = ", ".join(
            f"{whole[f'crossfitted_{name}']:,.0f} carry {share:.0%}"
            for name, share in SHARES.items()
        )
        finding = [
            f"{model}: in all, raising neurons take back {cancelled:.0%} of what reducing ones do;",
            f"of {n_neurons}, {counts} of it.",
        ]
    else:
        finding = [f"{model}: the interval of what the {n_neurons} reduce is not above zero."]
    figure: alt.VConcatChart = alt.vconcat(
        _sums(base, x, direction_name),
        _cancelled(base, x, whole),
        _carriers(base, x),
        _gini(base, bottom, whole),
        spacing=14,
        title=alt.Title(
            "How reducing and raising neurons cancel, by layer",
            subtitle=[
                *finding,
                "Neurons are chosen on other prompts than those summed; thin bars, intervals over "
                "prompts.",
                "Open diamonds: chosen and summed on the same prompts, not corrected; so is the "
                "Gini coefficient",
            ],
        ),
    ).resolve_scale(color="independent", shape="independent")
    return figure


def _sums(base: alt.Chart, x: alt.X, direction_name: str) -> LayeredChart:
    """Draw reducing and raising sums as bars, and the net as a point."""
    names = ["reducing", "raising", "net"]
    base = base.transform_calculate(
        **{
            f"{name}{end}_drawn": f"datum.crossfitted_{name}{end}"
            for name in ("reducing", "raising")
            for end in ENDS
        },
        **{f"net{end}_drawn": f"datum.net{end}" for end in ENDS},
    )
    colour = alt.Color("side:N", title=None).scale(domain=names, range=[REDUCING, RAISING, NET])
    title = ["reduction of projection", f"on {direction_name} direction"]
    folded = base.transform_fold([*names], as_=["side", "published"]).transform_calculate(
        reduction="datum[datum.side + '_drawn']",
        low="datum[datum.side + '_low_drawn']",
        high="datum[datum.side + '_high_drawn']",
    )
    shown = _tooltip("crossfitted_reducing", "crossfitted_raising", "net")
    folded = folded.encode(x=x, tooltip=[*shown, *_fields("reducing", "raising")])
    bars = folded.transform_filter("datum.side != 'net'")
    net = folded.transform_filter("datum.side == 'net'")
    return alt.layer(
        bars.mark_bar().encode(y=alt.Y("reduction:Q", title=title).stack(None), color=colour),
        bars.mark_rule(strokeWidth=1.4, xOffset=-5).encode(y="low:Q", y2="high:Q"),
        net.mark_rule(strokeWidth=1.4, xOffset=5).encode(y="low:Q", y2="high:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        _published(bars).encode(y="published:Q"),
        net.mark_point(fill="white", size=45, opacity=1, strokeWidth=1.6, xOffset=5).encode(
            y="reduction:Q", stroke=alt.value(NET)
        ),
    ).properties(width=WIDTH, height=180)


def _cancelled(base: alt.Chart, x: alt.X, whole: pd.Series) -> LayeredChart:
    """Draw the share of the reducing sum that raising neurons take back."""
    percent = "format(datum.value * 100, '~r')"
    y = alt.Y("crossfitted_cancelled:Q", title=["share taken back by", "raising neurons (%)"])
    y = y.axis(labelExpr=percent, tickCount=5)
    base = base.encode(x=x, tooltip=[*_tooltip("crossfitted_cancelled"), *_fields("cancelled")])
    reducing = base.transform_filter("isValid(datum.crossfitted_cancelled)")
    published = base.transform_filter("isValid(datum.cancelled)")
    return alt.layer(
        reducing.mark_bar(color=RAISING).encode(y=y),
        reducing.mark_rule(strokeWidth=1.4, color="black").encode(
            y="crossfitted_cancelled_low:Q", y2="crossfitted_cancelled_high:Q"
        ),
        _published(published).encode(y="cancelled:Q"),
        *_all_layers(whole["crossfitted_cancelled"]),
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
    shown = [*_tooltip(*(f"crossfitted_{name}" for name in SHARES)), *_fields(*SHARES)]
    folded = folded.transform_filter("isValid(datum.share)")
    folded = folded.encode(x=x, color=series, tooltip=shown)
    return alt.layer(
        folded.mark_line(strokeWidth=1.2).encode(y=y),
        folded.mark_rule(strokeWidth=1.2).encode(y="low:Q", y2="high:Q"),
        folded.mark_point(filled=True, size=45, opacity=1).encode(y="share:Q", shape=shape),
    ).properties(width=WIDTH, height=130)


def _gini(base: alt.Chart, x: alt.X, whole: pd.Series) -> LayeredChart:
    """Draw the Gini coefficient of the sizes of all reductions."""
    y = alt.Y("gini:Q", title=["Gini coefficient", "of |reduction|"]).scale(domain=[0, 1])
    points = base.encode(x=x, tooltip=["layer:O", "neurons:Q", *_fields("gini")])
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


def _published(marks: alt.Chart) -> alt.Chart:
    """Open diamonds, for numbers that are not corrected for selection."""
    diamonds: alt.Chart = marks.mark_point(
        shape="diamond", fill="white", stroke=UNCORRECTED, size=40, opacity=1, xOffset=-10
    )
    return diamonds


def _tooltip(*names: str) -> list[str | alt.Tooltip]:
    """Tooltip of a layer: these columns with their intervals."""
    return ["layer:O", "neurons:Q", *_fields(*(f"{name}{end}" for name in names for end in ENDS))]


def _fields(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".4g") for name in names]
