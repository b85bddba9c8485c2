"""Directions that many value vectors share: their leading right singular vectors."""

from dataclasses import dataclass

import numpy as np

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
