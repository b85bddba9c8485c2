"""Paired comparisons: sign-flip tests, and Holm's correction."""

import numpy as np

FLIPS = 10_000
"""Number of random flips of a test; no p-value is below 1 / (FLIPS + 1)."""
BLOCK = 2**22
"""Number of signs in memory at a time."""
TIE = 1e-9
"""Sums that differ by less than this share of the observed sum differ by rounding alone."""


def sign_flip_p_values(differences: np.ndarray, seed: int, flips: int = FLIPS) -> np.ndarray:
    """Return the two-sided p-value of each column of paired differences, (n, k): (k,).

    Null hypothesis: exchanging the two values of a pair changes nothing, so either sign of a
    difference is equally likely. p is the share of sign assignments whose sum is at least as far
    from zero as the observed sum. The observed assignment counts among them. All columns get the
    same flips. A column with a difference that is not finite has no p-value: NaN.
    """
    random = np.random.default_rng(seed)
    n = len(differences)
    observed = np.abs(differences.sum(axis=0))
    at_least = np.ones(differences.shape[1])
    rows = max(1, BLOCK // n)
    for start in range(0, flips, rows):
        drawn = random.random((min(rows, flips - start), n))
        sums = np.abs(np.where(drawn < 0.5, -1.0, 1.0) @ differences)
        at_least += (sums >= observed * (1 - TIE)).sum(axis=0)
    return np.where(np.isfinite(observed), at_least / (flips + 1), np.nan)


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
