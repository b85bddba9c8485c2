"""Bootstrap over prompts: percentile intervals of means and of ratios of sums."""

from collections.abc import Iterable
from typing import Any

import numpy as np

ENDS = ("", "_low", "_high")
"""Endings of the columns of a number and its interval."""
BLOCK = 2**22
"""Number of drawn counts in memory at a time."""


def resampled_counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """Count how often each of `n` prompts is drawn in each resample: (resamples, n)."""
    random = np.random.default_rng(seed)
    return random.multinomial(n, np.full(n, 1 / n), size=resamples)


def resampled_sums(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sum the columns of values, (n, k), over the drawn rows: (resamples, k).

    The draws are those of `resampled_counts`. They are made in blocks to save memory.
    """
    random = np.random.default_rng(seed)
    n = len(values)
    rows = max(1, BLOCK // n)
    blocks = [
        random.multinomial(n, np.full(n, 1 / n), size=min(rows, resamples - start)) @ values
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(blocks)


def interval(statistics: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the central `level` share of statistics, along axis 0."""
    tail = (1 - level) / 2
    low, high = np.quantile(statistics, [tail, 1 - tail], axis=0)
    return low, high


def interval_columns(name: str, triple: Iterable[Any]) -> dict[str, Any]:
    """Name the columns of a number and of its interval: name, name_low and name_high.

    triple: the number, its lower and its upper bound.
    """
    return {f"{name}{end}": values for end, values in zip(ENDS, triple, strict=True)}


def mean_intervals(
    values: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weighted means of columns, with intervals: mean, low and high, (k,) each.

    values: (n, k). weights: (n,), the same for all columns; without them all rows weigh the same.
    All columns share their resamples. A single row has no interval: low and high are NaN.
    """
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    weighed = values * weights[:, None]
    if len(values) < 2:
        none = np.full(values.shape[1], np.nan)
        return weighed.sum(axis=0) / weights.sum(), none, none
    sums = resampled_sums(np.column_stack([weights, weighed]), resamples, seed)
    sums = sums[sums[:, 0] > 0]  # a resample whose weights are all zero has no mean
    low, high = interval(sums[:, 1:] / sums[:, :1], level)
    return weighed.sum(axis=0) / weights.sum(), low, high
