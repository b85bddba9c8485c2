"""Paired comparisons: permutation tests by flipping signs, and Holm's correction for many."""

import numpy as np

FLIPS = 10_000
"""Random flips of a test; no p-value is below 1 / (FLIPS + 1)."""
BLOCK = 2**22
"""Signs in memory at a time."""
TIE = 1e-9
"""Sums that differ by less than this share of the observed one are equal but for rounding."""


def sign_flip_p_values(differences: np.ndarray, seed: int, flips: int = FLIPS) -> np.ndarray:
    """Two-sided p-value of each column of paired differences, (n, k): (k,).

    Null hypothesis: a pair's two values could be exchanged. Then each difference is as likely with
    the other sign, and p is the share of random assignments of signs, the observed one counted
    among them, whose sum is at least as far from zero as the observed sum. Sums weigh pairs by
    their size, as a mean does. All columns are flipped together.
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
    return at_least / (flips + 1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values, (k,), for their number, after Holm; the order stays.

    Rejecting what is then below a level errs, anywhere among the k, no more often than that level.
    """
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
