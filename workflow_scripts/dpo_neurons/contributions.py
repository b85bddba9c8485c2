"""Neuron contributions: how much less each neuron writes along a direction after fine-tuning."""

from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.groups import assign_groups

IDENTITY_TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-3, "float16": 2e-4}
"""How far a layer's neurons may be from adding up to its MLP output, by the model's dtype."""

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


def contributions(
    activation_pre: np.ndarray,
    activation_post: np.ndarray,
    along_pre: np.ndarray,
    along_post: np.ndarray,
    norm_pre: np.ndarray,
    definition: str,
) -> pd.DataFrame:
    """Table of contributions, a row a neuron in order of layer and neuron (v1, equation 1).

    All arrays are (n_layers, d_mlp). activation_…: mean activations m. along_…: components of the
    value vectors along the unit direction, v · w/|w|. norm_pre: norms of the value vectors before.
    projection = m (v · w/|w|); reduction = projection_pre − projection_post, positive where the
    neuron writes less along the direction after fine-tuning; rank 1 is the largest reduction.
    """
    n_layers, d_mlp = activation_pre.shape
    activation_pre, activation_post = _wide(activation_pre), _wide(activation_post)
    projection_pre = activation_pre * _wide(along_pre)
    projection_post = activation_post * _wide(along_post)
    reduction = projection_pre - projection_post
    with np.errstate(invalid="ignore"):
        cosine = np.nan_to_num(_wide(along_pre) / _wide(norm_pre))
    order = np.argsort(-reduction, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    table = {
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
    return pd.DataFrame(table)[list(COLUMNS)]


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64).reshape(-1)


def identity_error(
    table: pd.DataFrame,
    output_drop: np.ndarray,
) -> float:
    """How far the neurons of a layer are from adding up to the drop of its MLP output.

    output_drop: (n_layers,), the drop of the MLP output's projection on the unit direction, biases
    taken off. The sum of a layer's reductions equals it exactly (v1, equation 3); the largest
    difference is returned, relative to the layer's sum of absolute projections.
    """
    layers = table.groupby("layer")
    total = layers["reduction"].sum().to_numpy()
    size = layers[["projection_pre", "projection_post"]].agg(lambda p: p.abs().sum()).sum(axis=1)
    return float(np.max(np.abs(total - output_drop) / np.maximum(size.to_numpy(), 1e-30)))


def read_contributions(path: Path) -> pd.DataFrame:
    """Read a table of contributions.

    Raises InputError if the file is none.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as parquet ({error}); delete it and run again"
        ) from error
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise InputError(f"{path}: contributions need the column {missing[0]!r}")
    return table
