"""How much less each neuron writes along a direction after fine-tuning."""

import re
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.directions.subspaces import shift_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_table
from dpo_neurons.neurons.groups import assign_groups
from dpo_neurons.running.program import log

IDENTITY_TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 1e-3, "float16": 2e-4}
"""Largest relative error of `identity_error` that rounding explains, by the model's dtype."""

COLUMNS = (
    "layer",
    "neuron",
    "cosine",
    "activation_pre",
    "activation_post",
    "projection_pre",
    "projection_post",
    "reduction",
    "group",
    "rank",
)


def read_contributions(path: Path) -> pd.DataFrame:
    """Read a parquet table of contributions, which has the COLUMNS.

    Raises InputError if the file is missing, damaged or lacks one of them.
    """
    return read_table(path, COLUMNS, "contributions need")


def read_mlp_post_mean(cache: h5py.File, shape: tuple[int, int]) -> np.ndarray:
    """Read a checkpoint's mean activations from its cache, (n_layers, d_mlp) float32.

    shape: (n_layers, d_mlp) of the checkpoint.
    Raises InputError if the cache has another shape.
    """
    mlp_post_mean: np.ndarray = cache["mlp_post_mean"][:]
    if mlp_post_mean.shape != shape:
        raise InputError(
            f"{cache.filename}: activations of {mlp_post_mean.shape} layers and neurons, but the "
            f"checkpoint has {shape}; capture them again"
        )
    return mlp_post_mean


def compute_contributions(
    activation_pre: np.ndarray,
    activation_post: np.ndarray,
    components_pre: np.ndarray,
    components_post: np.ndarray,
    norms_pre: np.ndarray,
    definition: str,
) -> pd.DataFrame:
    """Compute contributions: one row per neuron, with the COLUMNS.

    Yang et al. 2024 (arXiv 2411.06424v1), equation 1: projection = m (v · w/|w|), and reduction =
    projection_pre − projection_post, which is positive where the neuron writes less along the
    direction after fine-tuning. rank 1 is the largest reduction. Rows are in order of layer and
    neuron.

    activation_…, (n_layers, d_mlp): mean activations m. components_…, of the same shape: components
    of the written vectors along the unit direction, v · w/|w|. norms_pre: norms of these vectors
    before fine-tuning. definition: of the groups, "v1" or "v3".

    For a direction of k rows, components_… are (k, n_layers, d_mlp): along an orthonormal basis
    whose first row is the direction's. The COLUMNS hold the first row. Further columns hold
    projections and reductions along each row, with suffixes _1 to _k, and in total, with _total:
    along the direction in which all neurons together moved within the subspace. The table's
    attribute `shift_direction` holds that direction's k coordinates.
    """
    n_layers, d_mlp = activation_pre.shape
    activation_pre, activation_post = _flatten(activation_pre), _flatten(activation_post)
    components_pre = _flatten(components_pre).reshape(-1, n_layers * d_mlp)
    components_post = _flatten(components_post).reshape(-1, n_layers * d_mlp)
    projection_pre = activation_pre * components_pre[0]
    projection_post = activation_post * components_post[0]
    reduction = projection_pre - projection_post
    with np.errstate(invalid="ignore"):
        cosine = np.nan_to_num(components_pre[0] / _flatten(norms_pre))
    order = np.argsort(-reduction, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    columns = {
        "layer": np.repeat(np.arange(n_layers), d_mlp),
        "neuron": np.tile(np.arange(d_mlp), n_layers),
        "cosine": cosine,
        "activation_pre": activation_pre,
        "activation_post": activation_post,
        "projection_pre": projection_pre,
        "projection_post": projection_post,
        "reduction": reduction,
        "group": pd.Categorical(
            assign_groups(cosine, activation_pre, activation_post, reduction, definition)
        ),
        "rank": rank,
    }
    table = pd.DataFrame(columns)[list(COLUMNS)]
    if len(components_pre) > 1:
        _add_rows(table, activation_pre * components_pre, activation_post * components_post)
    return table


def _flatten(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64).reshape(-1)


def _add_rows(table: pd.DataFrame, before: np.ndarray, after: np.ndarray) -> None:
    """Add the projections along each row of a subspace and in total.

    before, after: (k, n_neurons), projections along the k rows of the basis.
    """
    shift = shift_direction((before - after).sum(axis=1))
    names = [*map(str, range(1, len(shift) + 1)), "total"]
    weights = np.vstack([np.eye(len(shift)), shift])
    for name, row_before, row_after in zip(names, weights @ before, weights @ after, strict=True):
        table[f"projection_pre_{name}"] = row_before
        table[f"projection_post_{name}"] = row_after
        table[f"reduction_{name}"] = row_before - row_after
    table.attrs["shift_direction"] = shift.tolist()


def row_suffixes(table: pd.DataFrame) -> tuple[str, ...]:
    """Suffixes of a subspace's columns: "_1", "_2", …, "_total".

    A direction of a single row has none.
    """
    matches = (re.fullmatch(r"reduction(_\d+|_total)", column) for column in table.columns)
    return tuple(match[1] for match in matches if match)


def project_outputs(
    cache: h5py.File, basis: np.ndarray, biases: np.ndarray, gains: np.ndarray | None
) -> np.ndarray:
    """Project a checkpoint's mean MLP outputs on a basis: (k, n_layers).

    Biases are taken off. basis: unit rows, (k, d_model). biases: (k, n_layers), components of the
    down projections' biases along them. gains: (n_layers, d_model), of the norms after the MLP,
    which the outputs are multiplied with; None without such norms.
    """
    outputs: np.ndarray = cache["mlp_out_mean"][:]
    if gains is not None:
        outputs = outputs * gains
    projections: np.ndarray = np.stack([outputs @ row for row in basis]) - biases
    return projections


def identity_error(table: pd.DataFrame, output_drop: np.ndarray, row: str = "") -> float:
    """Measure how far neurons are from adding up to the drop of their MLP's output.

    The sum of a layer's reductions equals that drop exactly, for the MLP's output is the sum of
    m_i v_i: Yang et al. 2024 (arXiv 2411.06424v1), equation 3.

    output_drop: (n_layers,), drop of the MLP output's projection on the unit direction, without
    biases. row: suffix of a subspace's columns, such as "_2".
    Returns the largest difference of any layer, relative to the sum of its absolute projections.
    """
    layers = table.groupby("layer")
    total = layers[f"reduction{row}"].sum().to_numpy()
    projections = [f"projection_pre{row}", f"projection_post{row}"]
    size = layers[projections].agg(lambda column: column.abs().sum()).sum(axis=1)
    return float(np.max(np.abs(total - output_drop) / np.maximum(size.to_numpy(), 1e-30)))


def check_identity(
    table: pd.DataFrame, output_drops: np.ndarray, tolerance: float, caches: Sequence[Path]
) -> None:
    """Check that neurons add up to the drop of each MLP output; log how exactly.

    Of a direction with several rows, the identity is checked along each row and in total.

    output_drops: (k, n_layers), the drops of `identity_error` along each row. tolerance: the
    largest relative error allowed. caches: where the activations are from, for the error message.
    Raises InputError for a larger error.
    """
    if suffixes := row_suffixes(table):
        shift = table.attrs["shift_direction"]
        log.info("together the neurons moved along %s of the direction's rows", shift)
        output_drops = np.vstack([output_drops, shift @ output_drops])
    for row, drop in zip(suffixes or ("",), output_drops, strict=True):
        error = identity_error(table, drop, row)
        log.info("neurons add up to the drop of each MLP output within %.2g (relative)", error)
        if not error <= tolerance:
            raise InputError(
                f"{', '.join(map(str, caches))}: the neurons do not add up to the MLP outputs "
                f"(relative error {error:.2g}, allowed {tolerance:g}); they were captured from "
                "other checkpoints than these, so capture them again"
            )
