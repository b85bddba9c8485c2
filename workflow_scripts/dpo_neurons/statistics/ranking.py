"""Ranking of numbers, in an order that is the same on every machine."""

import numpy as np


def largest_indices(values: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the `count` largest of values, (n,), largest first.

    If there are fewer values, all indices are returned. Equal values are in order of index.
    """
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    smallest_in = np.partition(values, len(values) - count)[len(values) - count]
    candidates = np.flatnonzero(values >= smallest_in)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]
