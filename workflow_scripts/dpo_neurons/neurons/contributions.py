"""Neuron contributions: how much less each neuron writes along a direction after fine-tuning."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.directions.subspaces import shift_direction
from dpo_neurons.files.tables import read_table
from dpo_neurons.neurons.groups import assign_groups

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


def compute_contributions(
    activation_pre: np.ndarray,
    activation_post: np.ndarray,
    along_pre: np.ndarray,
    along_post: np.ndarray,
    norm_pre: np.ndarray,
    definition: str,
) -> pd.DataFrame:
    """Table of contributions, a row a neuron in order of layer and neuron (v1, equation 1).

    activation_…, (n_layers, d_mlp): mean activations m. along_…, the same shape: components of the
    value vectors along the unit direction, v · w/|w|. norm_pre: norms of the value vectors before.
    projection = m (v · w/|w|); reduction = projection_pre − projection_post, positive where the
    neuron writes less along the direction after fine-tuning; rank 1 is the largest reduction.

    Of a direction with several rows, along_… are (k, n_layers, d_mlp), components along an
    orthonormal basis whose first row is that direction's. All of the above goes by the first row.
    Projections and reductions along each row follow, with the suffixes _1 to _k, and in total,
    _total: along the direction, within the subspace, in which all neurons together moved
    (`shift_direction`). Its coordinates are the table's attribute `shift_direction`.
    """
    n_layers, d_mlp = activation_pre.shape
    activation_pre, activation_post = _wide(activation_pre), _wide(activation_post)
    along_pre = _wide(along_pre).reshape(-1, n_layers * d_mlp)
    along_post = _wide(along_post).reshape(-1, n_layers * d_mlp)
    projection_pre, projection_post = activation_pre * along_pre[0], activation_post * along_post[0]
    reduction = projection_pre - projection_post
    with np.errstate(invalid="ignore"):
        cosine = np.nan_to_num(along_pre[0] / _wide(norm_pre))
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
    if len(along_pre) > 1:
        _add_rows(table, activation_pre * along_pre, activation_post * along_post)
    return table


def _add_rows(table: pd.DataFrame, before: np.ndarray, after: np.ndarray) -> None:
    """Add the projections of a subspace, (k, n), along each of its rows and in total."""
    shift = shift_direction((before - after).sum(axis=1))
    names = [*map(str, range(1, len(shift) + 1)), "total"]
    weights = np.vstack([np.eye(len(shift)), shift])
    for name, row_before, row_after in zip(names, weights @ before, weights @ after, strict=True):
        table[f"projection_pre_{name}"] = row_before
        table[f"projection_post_{name}"] = row_after
        table[f"reduction_{name}"] = row_before - row_after
    table.attrs["shift_direction"] = shift.tolist()


def row_suffixes(table: pd.DataFrame) -> tuple[str, ...]:
    """Suffixes of the columns of each row, "_1" and on, and "_total"; none if there is but one."""
    found = (re.fullmatch(r"reduction(_\d+|_total)", column) for column in table.columns)
    return tuple(match[1] for match in found if match)


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64).reshape(-1)


def identity_error(table: pd.DataFrame, output_drop: np.ndarray, row: str = "") -> float:
    """How far the neurons of a layer are from adding up to the drop of its MLP output.

    output_drop: (n_layers,), the drop of the MLP output's projection on the unit direction, biases
    taken off. The sum of a layer's reductions equals it exactly (v1, equation 3); the largest
    difference is returned, relative to the layer's sum of absolute projections. row: suffix of the
    columns in a table of several rows, such as "_2".
    """
    layers = table.groupby("layer")
    total = layers[f"reduction{row}"].sum().to_numpy()
    both = [f"projection_pre{row}", f"projection_post{row}"]
    size = layers[both].agg(lambda p: p.abs().sum()).sum(axis=1)
    return float(np.max(np.abs(total - output_drop) / np.maximum(size.to_numpy(), 1e-30)))


def read_contributions(path: Path) -> pd.DataFrame:
    """Read a table of contributions.

    Raises InputError if the file is none.
    """
    return read_table(path, COLUMNS, "contributions need")
