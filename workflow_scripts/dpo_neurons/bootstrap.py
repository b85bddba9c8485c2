"""Bootstrap over prompts: percentile intervals of means and of ratios of sums."""

import numpy as np


def resampled_counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of `n` prompts is drawn in each resample, (resamples, n)."""
    random = np.random.default_rng(seed)
    return random.multinomial(n, np.full(n, 1 / n), size=resamples)


def interval(statistics: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of the central `level` share of resampled statistics, along axis 0."""
    tail = (1 - level) / 2
    low, high = np.quantile(statistics, [tail, 1 - tail], axis=0)
    return low, high


def mean_interval(
    values: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
    weights: np.ndarray | None = None,
) -> tuple[float, float, float]:
    """Weighted mean of values, (n,), and its bootstrap interval: mean, low, high."""
    weights = np.ones(len(values)) if weights is None else weights
    counts = resampled_counts(len(values), resamples, seed)
    totals = counts @ weights
    drawn = totals > 0  # a resample of weightless values alone has no mean
    low, high = interval((counts @ (values * weights))[drawn] / totals[drawn], level)
    return float(np.average(values, weights=weights)), float(low), float(high)
