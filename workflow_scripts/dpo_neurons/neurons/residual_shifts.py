"""How fine-tuning shifts the residual stream and the value vectors.

After Lee et al. 2024 (arXiv 2401.01967). docs/activations.md lists the differences.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.models.value_vectors import iterate_written_vectors, lengths
from dpo_neurons.neurons.stream_shifts import find_continued_prompts

FULL_SVD_SIZE = 500
"""Largest number of rows or columns for which all components are computed at once."""
BINS = 100
"""Bins of cosines from −1 to 1."""
SIGN_NAMES = {-1.0: "negative", 0.0: "zero", 1.0: "positive"}
"""Names of the sign of a neuron's mean activation after fine-tuning."""


@dataclass(frozen=True)
class Shift:
    """The shift of the residual stream after one block.

    It is measured on the prompts that both models continued.
    """

    mean: np.ndarray
    """(d_model,) float64: after fine-tuning minus before, mean over prompts."""
    size_before: float
    """Root of the mean squared length of the stream before, in the units of `mean`."""
    shared: float
    """Squared length of `mean` over the mean squared shift: 1 if all prompts shift alike."""
    shift_component: np.ndarray
    """(d_model,) unit: first principal component of the prompts' shifts, not centred."""
    shift_component_share: float
    """Share of the prompts' squared shifts along it."""
    stream_component: np.ndarray
    """(d_model,) unit: first principal component of both models' streams together, centred."""
    stream_component_share: float
    """Share of their variance along it."""
    side_component: np.ndarray
    """(d_model,) unit: as `stream_component`, of the streams without their part along `mean`."""


def find_nearest_neurons(checkpoint: Path, direction: np.ndarray) -> np.ndarray:
    """Find, in each layer, the neuron whose written vector is nearest to the direction.

    direction: unit vector, (d_model,). Returns their numbers, (n_layers,), by the largest cosine.
    """
    return np.array(
        [
            int((vectors @ direction / np.maximum(lengths(vectors), np.finfo(float).tiny)).argmax())
            for vectors, _ in iterate_written_vectors(checkpoint)
        ]
    )


def compare_streams(
    pre: h5py.File, post: h5py.File, direction: np.ndarray, nearest: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Compare the residual streams of both checkpoints, layer by layer.

    pre, post: their caches. direction: unit vector, (d_model,). nearest: a neuron of each layer,
    (n_layers,), whose activation on each prompt the rows of prompts hold.
    Returns one row per layer (`shift_row`); one row per prompt and checkpoint at the
    `quarter_layers` (`prompt_rows`); and the mean shifts, (n_layers, d_model).
    Raises InputError if the caches do not belong together or no prompt was continued by both.
    """
    continued = find_continued_prompts(pre, post)
    n_layers = pre["resid_post"].shape[1]
    layers, prompts, shifts = [], [], []
    for layer in range(n_layers):
        before = pre["resid_post"][:, layer][continued]
        after = post["resid_post"][:, layer][continued]
        shift = measure_shift(before, after)
        layers.append(shift_row(layer, len(before), shift, direction))
        shifts.append(shift.mean)
        if layer in quarter_layers(n_layers):
            for stage, cache, stream in (("pre", pre, before), ("post", post, after)):
                rows = prompt_rows(layer, np.flatnonzero(continued), stage, stream, shift)
                mlp_post = cache["mlp_post"][:, layer, nearest[layer]][continued].astype(float)
                prompts.append(rows.assign(neuron=nearest[layer], mlp_post=mlp_post))
    return pd.DataFrame(layers), pd.concat(prompts), np.stack(shifts)


def measure_shift(before: np.ndarray, after: np.ndarray) -> Shift:
    """Measure the shift between two models' streams, (n_prompts, d_model) each.

    A component has no sign of its own. shift_component and stream_component are turned to the side
    of the mean shift, side_component to that of stream_component.
    """
    before, after = before.astype(np.float64), after.astype(np.float64)
    shifts = after - before
    mean = shifts.mean(axis=0)
    squared = (shifts**2).sum(axis=1).mean()
    both = np.concatenate([before, after])
    shift_component, shift_share = first_component(shifts, mean)
    both -= both.mean(axis=0)
    stream_component, stream_share = first_component(both, mean)
    unit = mean / (np.linalg.norm(mean) or 1.0)
    across = both - np.outer(both @ unit, unit)
    return Shift(
        mean=mean,
        size_before=float(np.sqrt((before**2).sum(axis=1).mean())),
        shared=float(mean @ mean / squared) if squared else 0.0,
        shift_component=shift_component,
        shift_component_share=shift_share,
        stream_component=stream_component,
        stream_component_share=stream_share,
        side_component=first_component(across, stream_component)[0],
    )


def first_component(rows: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, float]:
    """Find the unit vector along which rows, (n, d), have most of their squares.

    It is turned to the side of the vector `side`, (d,). If it is orthogonal to `side`, its largest
    entry is made positive. Returns it, (d,), and the share of the squares along it. If all rows
    are zero, it returns zeros and share 0.
    """
    total = float((rows**2).sum())
    if total == 0:
        return np.zeros(rows.shape[1]), 0.0
    if min(rows.shape) > FULL_SVD_SIZE:
        component = _first_component_by_iteration(rows)
    else:
        component = np.linalg.svd(rows, full_matrices=False)[2][0]
    sign = component @ side
    if sign == 0:
        sign = component[np.abs(component).argmax()]
    component = component * np.sign(sign)
    return component, float(((rows @ component) ** 2).sum() / total)


def _first_component_by_iteration(rows: np.ndarray) -> np.ndarray:
    """Compute the first component alone, to full precision.

    For 2,400 × 4,096 this is tens of times faster than computing all components.
    """
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(n_components=1, algorithm="arpack", random_state=0)
    component: np.ndarray = svd.fit(rows).components_[0]
    return component


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine of two vectors, (d,); 0 if one of them is zero."""
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size else 0.0


def shift_row(
    layer: int, n_prompts: int, shift: Shift, direction: np.ndarray
) -> dict[str, float | int]:
    """Return the row of a layer, with measures of its mean shift."""
    length = float(np.linalg.norm(shift.mean))
    return {
        "layer": layer,
        "prompts": n_prompts,
        "shift": length,
        "relative_shift": length / shift.size_before if shift.size_before else 0.0,
        "shared": shift.shared,
        "shift_component_share": shift.shift_component_share,
        "shift_component_cosine": cosine(shift.mean, shift.shift_component),
        "stream_component_share": shift.stream_component_share,
        "stream_component_cosine": cosine(shift.mean, shift.stream_component),
        "direction_cosine": cosine(shift.mean, direction),
    }


def prompt_rows(
    layer: int, prompts: np.ndarray, stage: str, stream: np.ndarray, shift: Shift
) -> pd.DataFrame:
    """Return one row per prompt: its stream along the mean shift and two components.

    prompts: (n,), their indices. stage: "pre" or "post". stream: (n, d_model).
    """
    unit = shift.mean / (np.linalg.norm(shift.mean) or 1.0)
    stream = stream.astype(np.float64)
    return pd.DataFrame(
        {
            "layer": layer,
            "prompt": prompts,
            "stage": stage,
            "along_shift": stream @ unit,
            "along_component": stream @ shift.stream_component,
            "beside_shift": stream @ shift.side_component,
        }
    )


def quarter_layers(n_layers: int) -> list[int]:
    """Return the layers at the quarters of the depth, the last included."""
    return sorted({max(round(n_layers * part / 4) - 1, 0) for part in (1, 2, 3, 4)})


def late_layer(n_layers: int) -> int:
    """Return the layer at three quarters of the depth."""
    return quarter_layers(n_layers)[-2 if n_layers > 1 else -1]


def compare_value_vectors(
    checkpoint_pre: Path, checkpoint_post: Path, mlp_post_mean: np.ndarray, shifts: np.ndarray
) -> pd.DataFrame:
    """Compare changes of written vectors with their layer's shift and a late layer's.

    mlp_post_mean: (n_layers, d_mlp), after fine-tuning. shifts: (n_layers, d_model). Layers after
    the late one write nothing into its stream, so they are compared with their own shift alone.
    Returns the histograms of `count_by_cosine`, with the columns layer and shift_layer before them.
    """
    late = late_layer(len(shifts))
    value_vectors = zip(
        iterate_written_vectors(checkpoint_pre),
        iterate_written_vectors(checkpoint_post),
        strict=True,
    )
    histograms = []
    for layer, ((before, _), (after, _)) in enumerate(value_vectors):
        change = after - before
        for shift_layer in sorted({layer, max(layer, late)}):
            compared = compare_changes(change, mlp_post_mean[layer], shifts[shift_layer])
            histogram = count_by_cosine(compared)
            histogram.insert(0, "layer", layer)
            histogram.insert(1, "shift_layer", shift_layer)
            histograms.append(histogram)
    return pd.concat(histograms)


def compare_changes(change: np.ndarray, activation: np.ndarray, shift: np.ndarray) -> pd.DataFrame:
    """Compare a layer's changes of written vectors with a shift.

    change: (d_mlp, d_model). shift: (d_model,). activation: (d_mlp,), mean activations after
    fine-tuning. A changed value vector adds its activation times its change to the residual stream.
    At a negative activation, a change against the shift therefore writes along it.
    Returns one row per neuron whose value vector changed: activation (negative, zero, positive);
    cosine of change and shift; written, the change's addition along the shift, in units of the
    shift's length (0 without a shift).
    """
    sizes = lengths(change)
    changed = sizes > 0
    length = np.linalg.norm(shift)
    along = change[changed] @ shift / (length or 1.0)
    return pd.DataFrame(
        {
            "activation": [SIGN_NAMES[sign] for sign in np.sign(activation[changed])],
            "cosine": np.clip(along / sizes[changed], -1, 1),
            "written": activation[changed] * along / (length or 1.0),
        }
    )


def count_by_cosine(compared: pd.DataFrame) -> pd.DataFrame:
    """Count compared changes by the sign of the activation and by bins of the cosine.

    compared: of `compare_changes`. Returns one row per bin that is not empty: activation,
    cosine_low, cosine_high, neurons, written (their sum).
    """
    edges = np.arange(-BINS, BINS + 1, 2) / BINS
    bins = np.searchsorted(edges[1:-1], compared["cosine"].to_numpy(), side="right")
    counted = (
        compared.assign(bin=bins)
        .groupby(["activation", "bin"])["written"]
        .agg(neurons="size", written="sum")
        .reset_index()
    )
    counted.insert(1, "cosine_low", edges[counted["bin"]])
    counted.insert(2, "cosine_high", edges[counted["bin"] + 1])
    return counted.drop(columns="bin")
