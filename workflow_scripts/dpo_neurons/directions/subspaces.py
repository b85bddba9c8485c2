"""Subspaces of the residual stream: bases, shifts in them, components of vectors.

The rows of a direction span a subspace.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.errors import InputError

INDEPENDENT = 1e-4
"""Least length that a unit row must have outside the span of the rows before it.

Less is rounding of a float32 file.
"""
NO_SIDE = 1e-6
"""Cosine up to which a component is taken to be orthogonal to a vector, on neither of its sides."""


def subspace_basis(rows: np.ndarray, directions_file: Path) -> np.ndarray:
    """An orthonormal basis of unit rows, (k, d_model), of the same shape.

    The first row is theirs, bit for bit. Row j of the basis is what row j of the file has outside
    the span of the rows before it, scaled to length 1. directions_file: for the error message.
    Raises InputError for a row that lies in the span of the rows before it.
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
    """The unit vector along a drop; both are (k,), coordinates in a subspace.

    It is turned to point along the first row, not against it. If nothing drops, it is the first
    row.
    """
    length = np.linalg.norm(drops)
    if length == 0:
        first: np.ndarray = np.eye(len(drops))[0]
        return first
    unit: np.ndarray = drops / (length if drops[0] >= 0 else -length)
    return unit


@dataclass(frozen=True)
class Components:
    """The leading singular vectors of some unit vectors, by falling singular value."""

    rows: np.ndarray
    """(k, d_model) float64, orthonormal."""
    singular_values: np.ndarray
    """(k,)"""
    shares: np.ndarray
    """(k,): share of the vectors' squared norms along each row."""


def leading_components(
    vectors: np.ndarray, count: int, side: np.ndarray, what: str = "value vectors"
) -> Components:
    """The first right singular vectors of vectors, (n, d_model), scaled to length 1.

    The vectors are not centred, so the first component is close to their mean. A component has no
    sign of its own. It is turned to the side of the vector `side`, (d_model,); if orthogonal to
    it, to the side of the vectors' mean; if orthogonal to that too, its largest entry is positive.
    what: the vectors, for the error message.
    Raises InputError if the vectors span fewer than `count` dimensions.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, singular_values, rows = np.linalg.svd(unit, full_matrices=False)
    smallest = singular_values[0] * max(unit.shape) * np.finfo(float).eps
    dimensions = int((singular_values > smallest).sum())
    if count > dimensions:
        raise InputError(
            f"directions.….components: {len(vectors)} {what} span {dimensions} dimensions, so they "
            f"have no {count} components; ask for fewer, or take more {what}"
        )
    rows = np.stack([_turn(row, side, unit.mean(axis=0)) for row in rows[:count]])
    return Components(rows, singular_values[:count], singular_values[:count] ** 2 / len(unit))


def _turn(row: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """Turn a row to the side of the first vector that it is not orthogonal to."""
    turned: np.ndarray
    for side in sides:
        if abs(row @ side) > NO_SIDE:
            turned = row * np.sign(row @ side)
            return turned
    turned = row * np.sign(row[np.abs(row).argmax()])
    return turned
