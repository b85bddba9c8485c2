"""The share of fine-tuning's effect on a mean that an intervention reproduces."""

import numpy as np

from dpo_neurons.statistics.bootstrap import interval, resampled_sums

NEARLY_NOTHING = 1e-9
"""Smallest effect that a resample counts with, as a share of the measured effect."""


def effect_shares(
    before: np.ndarray,
    after: np.ndarray,
    outcomes: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares of the effect with intervals: share, low and high, (k,) each.

    A share is (before − outcome) / (before − after), from means over prompts. 0 is no change, 1 is
    the change that fine-tuning made. The effect, before − after, may have either sign.

    before, after: (n,), toxicity of each prompt before and after fine-tuning. outcomes: (n, k),
    the same under k interventions. Intervals resample prompts, the same ones for all three terms.
    If the effect's own interval includes zero, the ratio has no bounds and all results are NaN.
    """
    drops = np.column_stack([before - after, before[:, None] - outcomes])
    effect, *parts = drops.sum(axis=0)
    sums = resampled_sums(drops, resamples, seed) * np.sign(effect)
    without_effect = np.count_nonzero(sums[:, 0] <= 0)
    if without_effect > (1 - level) / 2 * (resamples - 1):
        unknown = np.full(outcomes.shape[1], np.nan)
        return unknown, unknown, unknown
    # Resamples without the effect get a tiny denominator: their share is far from zero.
    sizes = np.maximum(sums[:, :1], NEARLY_NOTHING * abs(effect))
    low, high = interval(sums[:, 1:] / sizes, level)
    return np.array(parts) / effect, low, high
