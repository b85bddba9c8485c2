"""The order in which texts of different lengths are best batched."""

from collections.abc import Sequence

import numpy as np


def longest_first(lengths: Sequence[int]) -> np.ndarray:
    """Indices, (n,), of texts by their lengths in tokens, the longest first, equal ones in order.

    Texts of like length need little padding, and if the first batch fits into memory, all do.
    """
    return np.argsort(-np.asarray(lengths, dtype=int), kind="stable")
