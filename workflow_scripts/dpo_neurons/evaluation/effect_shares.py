"""How much of fine-tuning's effect on a mean an intervention reproduces."""

import numpy as np

from dpo_neurons.statistics.bootstrap import interval, resampled_sums

NEARLY_NOTHING = 1e-9
"""Of the effect: what a resample without any effect counts as having."""


def effect_shares(
    before: np.ndarray,
    after: np.ndarray,
    outcomes: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of the effect, (before − outcome) / (before − after) of the means: share, low, high.

    before, after: (n,), a prompt's toxicity before and after fine-tuning; outcomes: (n, k), that
    under k interventions. 0 is no change, 1 all that fine-tuning did; the sign of the effect does
    not matter. Intervals resample prompts, the same for all three terms. All of it is NaN where the
    effect cannot be told from none: where more resamples have it zero or the other way than the
    tail of an interval holds. A ratio to it would then have no bounds.
    """
    drops = np.column_stack([before - after, before[:, None] - outcomes])
    effect, *parts = drops.sum(axis=0)
    sums = resampled_sums(drops, resamples, seed) * np.sign(effect)
    without = np.count_nonzero(sums[:, 0] <= 0)
    if without > (1 - level) / 2 * (resamples - 1):
        unknown = np.full(outcomes.shape[1], np.nan)
        return unknown, unknown, unknown
    # The few resamples without the effect go far out, on the side of their numerator.
    sizes = np.maximum(sums[:, :1], NEARLY_NOTHING * abs(effect))
    low, high = interval(sums[:, 1:] / sizes, level)
    return np.array(parts) / effect, low, high
