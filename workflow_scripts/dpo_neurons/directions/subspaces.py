"""Subspaces of the residual stream: what value vectors share, an orthonormal basis, a shift in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.errors import InputError

NO_SIDE = 1e-6
"""A cosine too small to say on which side of a vector a component points."""


@dataclass(frozen=True)
class Components:
    """The leading singular vectors of some unit vectors, by falling singular value."""

    rows: np.ndarray
    """(k, d_model) float64, orthonormal."""
    singular_values: np.ndarray
    """(k,)"""
    shares: np.ndarray
    """(k,) of the vectors' squared norms that lies along each row."""


def leading_components(vectors: np.ndarray, count: int, along: np.ndarray) -> Components:
    """The first `count` right singular vectors of vectors, (n, d_model), scaled to unit length.

    The vectors are not centred, so the first component is close to their mean. A component has no
    sign of its own: each is turned to the side of `along`, (d_model,), and where that is
    orthogonal to it, to the side of the vectors' mean.
    Raises InputError if the vectors span fewer than `count` dimensions.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, singular_values, rows = np.linalg.svd(unit, full_matrices=False)
    smallest = singular_values[0] * max(unit.shape) * np.finfo(float).eps
    spanned = int((singular_values > smallest).sum())
    if count > spanned:
        raise InputError(
            f"directions.….components: {len(vectors)} value vectors span {spanned} dimensions, so "
            f"they have no {count} components; ask for fewer, or take more neurons"
        )
    rows = np.stack([_turned(row, along, unit.mean(axis=0)) for row in rows[:count]])
    return Components(rows, singular_values[:count], singular_values[:count] ** 2 / len(unit))


def _turned(row: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    for side in sides:
        if abs(row @ side) > NO_SIDE:
            return row * np.sign(row @ side)
    return row * np.sign(row[np.abs(row).argmax()])


INDEPENDENT = 1e-4
"""What a unit row must have outside the rows before it; less is rounding of a float32 file."""


def subspace_basis(rows: np.ndarray, directions_file: Path) -> np.ndarray:
    """An orthonormal basis of unit rows, (k, d_model), whose first row is theirs.

    Row j is what row j of the file has outside the rows before it, scaled to length 1. A single row
    comes back as it is.
    Raises InputError for a row that lies in the span of those before it.
    """
    for count in range(1, len(rows)):
        before = orthonormal_rows(rows[:count])
        outside = rows[count] - (rows[count] @ before.T) @ before
        if count >= rows.shape[1] or np.linalg.norm(outside) < INDEPENDENT:
            raise InputError(
                f"{directions_file}: row {count + 1} of the direction lies in the span of the rows "
                "before it and adds nothing to them; leave it out"
            )
    return np.vstack([rows[:1], orthonormal_rows(rows)[1:]])


def shift_direction(drops: np.ndarray) -> np.ndarray:
    """The unit vector, (k,), along a drop in a subspace, (k,), by coordinates in its basis.

    It is turned to point along the first row, not against it; it is the first row if nothing drops.
    """
    length = np.linalg.norm(drops)
    if length == 0:
        return np.eye(len(drops))[0]
    return drops / (length if drops[0] >= 0 else -length)
