"""The share of fine-tuning's effect on a mean that an intervention reproduces."""

import numpy as np
from scipy.special import stdtrit

LEAST_CHANGED = 5
"""Prompts that an intervention must change, at least, for its share to be defined."""


def effect_shares(
    before: np.ndarray, after: np.ndarray, outcomes: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares of the effect with intervals: share, low and high, (k,) each.

    before, after: (n,), a prompt's toxicity before and after fine-tuning; outcomes: (n, k), that
    under k interventions. 0 is no change, 1 all that fine-tuning did; the sign of the effect does
    not matter.

    The interval is Fieller's: it holds every share θ for which a paired t-test does not reject that
    the mean of (before − outcome) − θ (before − after) is zero. All results are NaN if the test
    does not reject an effect of zero, because the ratio then has no bounds. A share is also NaN if
    fewer than LEAST_CHANGED prompts differ from before, or from after.
    """
    n, k = outcomes.shape
    undefined = (np.full(k, np.nan), np.full(k, np.nan), np.full(k, np.nan))
    if n < 2:
        return undefined
    effects, parts = before - after, before[:, None] - outcomes
    effect, means = effects.mean(), parts.mean(axis=0)
    deviations = parts - means
    errors = np.array([(effects - effect) @ (effects - effect), *((effects - effect) @ deviations)])
    of_effect, shared = errors[0] / (n - 1) / n, errors[1:] / (n - 1) / n
    of_parts = (deviations**2).sum(axis=0) / (n - 1) / n
    # (mean − θ effect)² ≤ t² Var(mean − θ effect), a quadratic inequality in θ.
    t_squared = stdtrit(n - 1, (1 + level) / 2) ** 2
    square = effect**2 - t_squared * of_effect
    if not square > 0:
        return undefined
    middle = means * effect - t_squared * shared
    constant = means**2 - t_squared * of_parts
    reach = np.sqrt(np.maximum(middle**2 - square * constant, 0))
    few = np.minimum(
        np.count_nonzero(parts, axis=0), np.count_nonzero(outcomes - after[:, None], axis=0)
    )
    defined = few >= LEAST_CHANGED
    share, low, high = (
        np.where(defined, values, np.nan)
        for values in (means / effect, (middle - reach) / square, (middle + reach) / square)
    )
    return share, low, high
