"""The largest of many numbers, in an order that is the same on every machine."""

import numpy as np


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest of values, (n,), or of all; largest first, ties by index."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    smallest_in = np.partition(values, len(values) - count)[len(values) - count]
    candidates = np.flatnonzero(values >= smallest_in)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]
