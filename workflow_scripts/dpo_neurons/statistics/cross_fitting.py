"""Sums over members that the sums themselves choose, and intervals that cover.

Prompts are split into folds. For each fold, the members (neurons) are chosen on all other folds and
summed on the prompts of this one, so that no prompt both chooses and counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from dpo_neurons.statistics.bootstrap import interval

FOLDS = 10
"""Parts of the prompts; with fewer prompts, each is a part of its own."""
LEAST_FREEDOM = 1.0
"""Degrees of freedom of an interval, at least."""


def assign_folds(n: int, seed: int) -> np.ndarray:
    """Assign each of n prompts to a fold at random, (n,) from 0; sizes differ by one at most."""
    folds: np.ndarray = np.random.default_rng(seed).permutation(np.arange(n) % min(FOLDS, n))
    return folds


@dataclass(frozen=True)
class CrossFit:
    """Sums of chosen sets, prompt by prompt, and how they depend on each other."""

    values: np.ndarray
    """(n_prompts, n_sets): a prompt's value summed over the set that the other folds choose."""
    shifts: np.ndarray
    """(n_folds, n_folds, n_sets): in entry (k, l), fold k's part of the mean, summed over the sets
    that all folds but k choose, minus that over the sets that all but k and l choose."""

    @property
    def estimate(self) -> np.ndarray:
        """The cross-fitted sums, (n_sets,)."""
        mean: np.ndarray = self.values.mean(axis=0)
        return mean

    def combine(self, contrasts: np.ndarray) -> "CrossFit":
        """Combine the sums linearly: contrasts are (n_sets, k), the result has k sums."""
        return CrossFit(self.values @ contrasts, self.shifts @ contrasts)

    def resample(self, counts: np.ndarray) -> np.ndarray:
        """Resample the sums, (resamples, n_sets); counts: how often each prompt is drawn."""
        resampled: np.ndarray = counts @ self.values / len(self.values)
        return resampled

    def error_ratio(self, level: float) -> np.ndarray:
        """How many times wider an interval must be than the resamples show, (n_sets,).

        Resamples hold the chosen sets fixed. But fold l takes part in choosing for fold k, and k
        for l, so the errors of both are correlated. With e_k the error of fold k and D_kl its
        change as fold l joins in choosing, Cov(e_k, e_l) = E[D_kl D_lk] exactly: what is left of
        e_k without l has mean zero given all folds but k, and that of e_l given all but l. The
        mean of all D, by which more prompts choose better, is no error and is taken off. Both
        variances are estimates, so Student's quantile takes the place of the normal one, with the
        degrees of freedom (after Satterthwaite) that the spread of squares and products shows.
        """
        n, n_folds = len(self.values), len(self.shifts)
        if n < 2:
            return np.full(self.values.shape[1], np.nan)
        squares = (self.values - self.estimate) ** 2
        own = squares.mean(axis=0) / (n - 1)
        noise = squares.var(axis=0) / n / (n - 1) ** 2
        first, second = np.triu_indices(n_folds, 1)
        changes = np.stack([self.shifts[first, second], self.shifts[second, first]])
        changes = changes - changes.mean(axis=(0, 1))
        products = 2 * changes.prod(axis=0)
        shared = np.maximum(products.sum(axis=0), 0)
        noise += products.var(axis=0) * len(products)
        variance = own + shared
        freedom = np.full_like(own, n - 1)
        np.divide(2 * variance**2, noise, out=freedom, where=noise > 0)
        freedom = np.clip(freedom, LEAST_FREEDOM, n - 1)
        wider = stdtrit(freedom, (1 + level) / 2) / ndtri((1 + level) / 2)
        drawn = own * (n - 1) / n
        ratio = np.divide(variance, drawn, out=np.ones_like(own), where=drawn > 0)
        error_ratio: np.ndarray = wider * np.sqrt(ratio)
        return error_ratio


def add_up(fits: Sequence[CrossFit]) -> CrossFit:
    """Add up cross-fitted sums of the same sets and folds."""
    values = np.sum([fit.values for fit in fits], axis=0)
    return CrossFit(values, np.sum([fit.shifts for fit in fits], axis=0))


def widened_interval(
    resampled: np.ndarray, value: np.ndarray, error_ratio: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval along axis 0, each end `error_ratio` times as far from the value."""
    low, high = interval(resampled, level)
    return value + error_ratio * (low - value), value + error_ratio * (high - value)


def sum_intervals(
    fit: CrossFit, counts: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross-fitted sums with their intervals: value, low, high, each (n_sets,)."""
    value = fit.estimate
    low, high = widened_interval(fit.resample(counts), value, fit.error_ratio(level), level)
    return value, low, high


def share_intervals(
    fit: CrossFit, counts: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of each set in the sum of all, with intervals: value, low, high, each (n_sets,).

    All are NaN unless the interval of the sum of all lies above zero.
    """
    n_sets = fit.values.shape[1]
    total, lowest, _ = sum_intervals(fit.combine(np.ones((n_sets, 1))), counts, level)
    if not lowest[0] > 0:
        return (np.full(n_sets, np.nan),) * 3
    value = fit.estimate / total
    # A share is wrong by as much as the sum of its set differs from its part of the total.
    ratio = fit.combine(np.eye(n_sets) - value).error_ratio(level)
    resampled = fit.resample(counts)
    totals = resampled.sum(axis=1, keepdims=True)
    resampled, totals = resampled[totals[:, 0] > 0], totals[totals[:, 0] > 0]
    low, high = widened_interval(resampled / totals, value, ratio, level)
    return value, low, high
