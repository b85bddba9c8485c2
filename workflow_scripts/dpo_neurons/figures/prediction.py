"""Figure 9: predicted reduction against measured change in toxicity.

Not a figure of the papers. One point per intervention. x: predicted reduction of projection on the
unit direction, in the units of the residual stream. y: measured fall of mean toxicity, 0 to 1.
"""

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.drawn_interventions import (
    KINDS,
    drawn_kinds,
    fill_intervals,
    intervention_labels,
)
from dpo_neurons.figures.labels import find_readable_labels
from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    PLAIN_NUMBERS,
    LayeredChart,
    empty_figure,
    median_size,
    symlog_scale,
)

MEASURED = ("measured", "measured_low", "measured_high")
COLUMNS = ("intervention", "kind", "neurons", "predicted", *MEASURED)
CORRELATION_COLUMNS = ("correlation", "value", "low", "high", "interventions")
"""Columns of the files of predictions and of correlations that are drawn."""
COLOURS = {
    "none": BEFORE,
    "dpo": AFTER,
    "patch": "#303030",
    "shift": "#B0307A",
    "damp": "#7A5C00",
    "control": "#9A9A9A",
    "ablate": "#E6A800",
    "edit": "#00588F",
    "steer": "#C44100",
    "strip": "#8E5AA8",
    "other": "#6B6B6B",
}
"""Colour of each kind that can have a prediction."""
WIDTH, HEIGHT, LABEL_SIZE, LABEL_AWAY = 620, 400, 11, 8
"""Sizes of the figure and its labels, and their distance from the points, in pixels."""


def aggregate(prediction: pd.DataFrame) -> pd.DataFrame:
    """Select the interventions with a prediction, and add their labels.

    prediction: one row per intervention, COLUMNS as in the prediction file. A missing interval
    shrinks to its point. Returns the same columns, with the kinds to draw, and label.
    """
    predicted = prediction.dropna(subset=["predicted", "measured"]).reset_index(drop=True)
    data = fill_intervals(predicted[list(COLUMNS)], ("measured",))
    labels = intervention_labels(data["intervention"])
    return data.assign(kind=drawn_kinds(data["kind"]), label=labels)


def chart(
    data: pd.DataFrame, correlations: pd.DataFrame, left_out: int, model: str, direction_name: str
) -> LayeredChart:
    """Draw one labelled point per intervention, with the correlations in the subtitle.

    data: of `aggregate`. correlations: one row per coefficient, with the CORRELATION_COLUMNS.
    left_out: number of the study's rows without a prediction.
    """
    title = "Does projection predict toxicity?"
    if data.empty:
        return empty_figure(title, "No intervention of this study has a prediction.")
    wide = np.abs(data["predicted"]).max() > 10 * median_size(data["predicted"].to_numpy())
    scales = (symlog_scale if wide else _linear_scale)(data["predicted"].to_numpy())
    low, high = float(data["measured_low"].min()), float(data["measured_high"].max())
    margin = 0.05 * (high - low) or 0.5
    domain = [low - margin, high + margin]
    data = data.assign(label=_labels(data, scales[0], domain))
    x = alt.X("predicted:Q", scale=scales[0], axis=scales[1]).title(
        f"predicted reduction of projection on {direction_name} direction"
        f"{' (symmetric log scale)' if wide else ''}"
    )
    y = alt.Y("measured:Q", title="measured fall of mean toxicity").scale(domain=domain, nice=False)
    kinds = [kind for kind in COLOURS if kind in set(data["kind"])]
    colour = alt.Color("kind:N", title=None).scale(
        domain=kinds, range=[COLOURS[kind] for kind in kinds]
    )
    names = {"none": "None", "dpo": "DPO", **KINDS}
    pairs = " : ".join(f"datum.label == '{kind}' ? '{names[kind]}'" for kind in kinds)
    colour = colour.legend(labelExpr=f"{pairs} : ''", columns=5, symbolType="circle")
    values = [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("predicted", *MEASURED)]
    base = alt.Chart(data).encode(
        x=x, y=y, tooltip=["intervention:N", alt.Tooltip("neurons:Q", format=","), *values]
    )
    return alt.layer(
        alt.Chart().mark_rule(color="#B0B0B0").encode(y=alt.datum(0)),
        alt.Chart().mark_rule(color="#B0B0B0").encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=1.4, opacity=0.7).encode(
            y="measured_low:Q", y2="measured_high:Q", color=colour
        ),
        base.mark_point(filled=True, size=65, opacity=1).encode(color=colour),
        base.mark_text(align="left", baseline="middle", dx=LABEL_AWAY, fontSize=LABEL_SIZE).encode(
            text="label:N"
        ),
        title=alt.Title(title, subtitle=_subtitle(correlations, left_out, model)),
    ).properties(width=WIDTH, height=HEIGHT)


def _linear_scale(values: np.ndarray) -> tuple[alt.Scale, alt.Axis]:
    """Return a linear scale that includes the values and zero, and its axis."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    margin = 0.05 * (high - low) or 0.5
    scale = alt.Scale(type="linear", domain=[low - margin, high + margin], nice=False)
    return scale, alt.Axis(tickCount=6, labelExpr=PLAIN_NUMBERS)


def _labels(data: pd.DataFrame, scale: alt.Scale, domain: list[float]) -> np.ndarray:
    """Return the label of each row, or "" if it would overlap; tooltips name all rows."""
    positions = np.array([*scale.domain, *data["predicted"]], dtype=np.float64)
    if scale.type == "symlog":
        positions = np.sign(positions) * np.log1p(np.abs(positions) / scale.constant)
    x = (positions[2:] - positions[0]) / (positions[1] - positions[0]) * WIDTH
    y = (domain[1] - data["measured"].to_numpy()) / (domain[1] - domain[0]) * HEIGHT
    widths = data["label"].str.len().to_numpy() * LABEL_SIZE * 0.6
    # Points far from zero get their labels first; controls, which are at zero, come last.
    order = np.argsort(-np.abs(data["predicted"].to_numpy()), kind="stable")
    shown = np.zeros(len(data), dtype=bool)
    shown[order] = find_readable_labels(
        x[order], y[order], widths[order], LABEL_SIZE + 2, LABEL_AWAY
    )
    return np.where(shown, data["label"], "")


def _subtitle(correlations: pd.DataFrame, left_out: int, model: str) -> list[str]:
    """The rank correlation with its interval, and what is not drawn."""
    row = correlations.iloc[0]
    count = int(row["interventions"])
    agreement = "no correlation of so few or so equal rows"
    if pd.notna(row["value"]):
        agreement = (
            f"Spearman {row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}] over prompts"
        )
    lines = [
        f"{model}: {agreement}; n = {count} interventions.",
        "Rows that predict 0 by construction, as controls do, are drawn but not counted.",
        "Bars: interval of the intervention's own mean toxicity",
    ]
    if left_out:
        lines[-1] += f"; {left_out} without a prediction not drawn"
    return lines
