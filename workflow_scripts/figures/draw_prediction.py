"""Draw figure 9: predicted change along the direction against the measured change in toxicity."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.labels import KINDS, find_readable_labels, kind_of
from dpo_neurons.figures.style import (
    AFTER,
    BEFORE,
    figure_arguments,
    nothing_to_draw,
    pretty_group,
    signed_log_scale,
    typical_size,
    write_figure,
)
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program

MEASURED = ("measured", "measured_low", "measured_high")
COLUMNS = ("intervention", "neurons", "predicted", *MEASURED)
CORRELATION_COLUMNS = ("correlation", "value", "low", "high", "interventions")
COLOURS = {
    "none": BEFORE,
    "dpo": AFTER,
    "patch": "#303030",
    "control": "#9A9A9A",
    "ablate": "#E6A800",
    "edit": "#00588F",
    "steer": "#C44100",
    "strip": "#8E5AA8",
    "other": "#6B6B6B",
}
WIDTH, HEIGHT, LABEL_SIZE, LABEL_AWAY = 620, 400, 11, 8


def aggregate(prediction: pd.DataFrame) -> pd.DataFrame:
    """The interventions with a prediction, each with its kind and label.

    prediction: a row an intervention, as in the prediction file. A missing interval shrinks to its
    point.
    """
    data = prediction.dropna(subset=["predicted", "measured"])[list(COLUMNS)]
    data = data.reset_index(drop=True)
    for end in ("low", "high"):
        data[f"measured_{end}"] = data[f"measured_{end}"].fillna(data["measured"])
    data["kind"] = data["intervention"].map(kind_of)
    data["label"] = [pretty_group(name).replace("_", " ") for name in data["intervention"]]
    return data


def chart(
    data: pd.DataFrame, correlations: pd.DataFrame, left_out: int, model: str, direction_name: str
) -> alt.LayerChart:
    """Draw a point an intervention, labelled, and say how well the two agree.

    correlations: a row a coefficient, as in the correlations file; left_out: how many rows of the
    study have no prediction.
    """
    title = "Does projection predict toxicity?"
    if data.empty:
        return nothing_to_draw(title, "No intervention of this study has a prediction.")
    wide = np.abs(data["predicted"]).max() > 10 * typical_size(data["predicted"].to_numpy())
    scales = (signed_log_scale if wide else _linear_scale)(data["predicted"].to_numpy())
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
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    margin = 0.05 * (high - low) or 0.5
    scale = alt.Scale(type="linear", domain=[low - margin, high + margin], nice=False)
    return scale, alt.Axis(tickCount=6, format="~g")


def _labels(data: pd.DataFrame, scale: alt.Scale, domain: list[float]) -> np.ndarray:
    """Each row's label, "" where it would lie on another; the page's tooltips name them all."""
    positions = np.array([*scale.domain, *data["predicted"]], dtype=np.float64)
    if scale.type == "symlog":
        positions = np.sign(positions) * np.log1p(np.abs(positions) / scale.constant)
    x = (positions[2:] - positions[0]) / (positions[1] - positions[0]) * WIDTH
    y = (domain[1] - data["measured"].to_numpy()) / (domain[1] - domain[0]) * HEIGHT
    widths = data["label"].str.len().to_numpy() * LABEL_SIZE * 0.6
    # Those furthest along first; controls, which all stand at zero, last.
    order = np.argsort(-np.abs(data["predicted"].to_numpy()), kind="stable")
    shown = np.zeros(len(data), dtype=bool)
    shown[order] = find_readable_labels(
        x[order], y[order], widths[order], LABEL_SIZE + 2, LABEL_AWAY
    )
    return np.where(shown, data["label"], "")


def _subtitle(correlations: pd.DataFrame, left_out: int, model: str) -> list[str]:
    count = int(correlations["interventions"].max())
    found = [
        f"{row.correlation.capitalize()} {row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
        for row in correlations.itertuples()
        if pd.notna(row.value)
    ]
    agreement = ", ".join(found) or "no correlation of so few or so equal rows"
    lines = [
        f"{model}: {agreement}; n = {count} interventions, the row none not counted.",
        "Bars: interval of the intervention's own mean toxicity",
    ]
    if left_out:
        lines[1] += f"; {left_out} without a prediction not drawn"
    return lines


def main() -> None:
    """Read predictions and correlations, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prediction", type=Path, required=True, help="prediction csv")
    parser.add_argument("--correlations", type=Path, required=True, help="correlations csv")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()

    prediction = read_csv(arguments.prediction, COLUMNS)
    correlations = read_csv(arguments.correlations, CORRELATION_COLUMNS)
    data = aggregate(prediction)
    left_out = len(prediction) - len(data)
    figure = chart(data, correlations, left_out, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
