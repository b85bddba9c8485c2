"""Paired comparisons: sign-flip tests, and Holm's correction."""

from itertools import product

import numpy as np

FLIPS = 10_000
"""Number of random flips of a test, unless there are no more sign assignments in all."""
BLOCK = 2**22
"""Number of signs in memory at a time."""
TIE = 1e-9
"""Sums that differ by less than this share of the observed sum differ by rounding alone."""


def sign_flip_p_values(differences: np.ndarray, seed: int, flips: int = FLIPS) -> np.ndarray:
    """Return the two-sided p-value of each column of paired differences, (n, k): (k,).

    Null hypothesis: exchanging the two values of a pair changes nothing, so either sign of a
    difference is equally likely. p is the share of sign assignments whose sum is at least as far
    from zero as the observed sum: of all 2^n assignments if they are at most `flips`, else of so
    many random ones and the observed one. All columns get the same flips. A column with a
    difference that is not finite has no p-value: NaN.
    """
    random = np.random.default_rng(seed)
    n = len(differences)
    observed = np.abs(differences.sum(axis=0))
    if 2**n <= flips:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        as_far = np.abs(signs @ differences) >= observed * (1 - TIE)
        return np.where(np.isfinite(observed), as_far.mean(axis=0), np.nan)
    at_least = np.ones(differences.shape[1])
    rows = max(1, BLOCK // n)
    for start in range(0, flips, rows):
        drawn = random.random((min(rows, flips - start), n))
        sums = np.abs(np.where(drawn < 0.5, -1.0, 1.0) @ differences)
        at_least += (sums >= observed * (1 - TIE)).sum(axis=0)
    return np.where(np.isfinite(observed), at_least / (flips + 1), np.nan)


def smallest_p_value(n: int, flips: int = FLIPS) -> float:
    """Return the smallest p-value that n pairs can have: all signs are alike, or all opposite."""
    return 2 / 2**n if 2**n <= flips else 1 / (flips + 1)


def correct_by_holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values, (k,), for their number by Holm's method; the order stays.

    If all hypotheses below a level are rejected, the chance of any false rejection is at most that
    level. NaN stays NaN and counts as no hypothesis.
    """
    tested = np.flatnonzero(np.isfinite(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.full(len(p_values), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
