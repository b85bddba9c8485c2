"""Directions of several rows: their orthonormal basis, and the direction of a shift within it."""

from pathlib import Path

import numpy as np

from dpo_neurons.directions import orthonormal_rows
from dpo_neurons.errors import InputError

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
