"""Do the intervals of cross-fitted sums hold the truth as often as they say?

The truth is what the chosen neurons do on all prompts there could be. Every sample of prompts is
drawn anew, from a pair of checkpoints whose true reductions are known.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from support.simulated_pair import simulated_pair

from dpo_neurons.neurons.cross_fitted_groups import choose_groups, cross_fit_groups
from dpo_neurons.neurons.cross_fitted_sums import sum_folds
from dpo_neurons.neurons.groups import GROUPS, REDUCING
from dpo_neurons.neurons.summaries import choose_reducing, summarise_totals
from dpo_neurons.statistics.cross_fitting import assign_folds

pytestmark = pytest.mark.slow

PROMPTS, SAMPLES, RESAMPLES, LEVEL = 100, 400, 500, 0.95


@dataclass(frozen=True)
class Coverage:
    """Of many samples: how often intervals held the truth, and how often there was one."""

    groups: float
    positive: float
    uncorrected: float
    shares: float
    shares_defined: float
    error: float
    """Mean error of the sum of positive reductions, in its standard deviations."""


def true_sums(choose, stages, folds, reduction, n_sets):
    """What the sets that the folds choose truly sum up to, (n_sets,)."""
    sizes = np.bincount(folds) / len(folds)
    chosen = [choose(*(s.mean_without(fold) for s in stages)) for fold in range(len(sizes))]
    return sum(
        size * np.bincount(sets, reduction, n_sets)
        for size, sets in zip(sizes, chosen, strict=True)
    )


def measure(regime):
    pair = simulated_pair(regime)
    random = np.random.default_rng(11)
    held, shares, errors, uncorrected = [], [], [], 0
    for seed in range(SAMPLES):
        table, pre, post = pair.draw(PROMPTS, random)
        folds = assign_folds(PROMPTS, seed)
        stages = [sum_folds(cache, folds) for cache in (pre, post)]

        groups, _ = cross_fit_groups(table, pre, post, "v1", RESAMPLES, LEVEL, seed)
        choose = choose_groups(table, "v1")
        truth = true_sums(choose, stages, folds, pair.reduction, 9)[: len(GROUPS)]
        low, high = (groups[f"crossfitted_reduction_{end}"] for end in ("low", "high"))
        of_groups = (low <= truth) & (truth <= high)
        side = groups[: len(REDUCING)]
        if side["crossfitted_share"].notna().all():
            true_shares = truth[: len(REDUCING)] / truth[: len(REDUCING)].sum()
            low, high = (side[f"crossfitted_share_{end}"] for end in ("low", "high"))
            shares.append(((low <= true_shares) & (true_shares <= high)).mean())

        totals = summarise_totals(table, pre, post, RESAMPLES, LEVEL, seed).set_index("quantity")
        truth = true_sums(choose_reducing(table), stages, folds, pair.reduction, 2)[0]
        value, low, high = totals.loc["crossfitted_positive_reduction", ["value", "low", "high"]]
        held.append([of_groups.mean(), low <= truth <= high])
        errors.append(value - truth)
        reducing = (table["reduction"] > 0).to_numpy()
        low, high = totals.loc["positive_reduction", ["low", "high"]]
        uncorrected += low <= pair.reduction[reducing].sum() <= high
    groups, positive = np.mean(held, axis=0)
    return Coverage(
        groups=groups,
        positive=positive,
        uncorrected=uncorrected / SAMPLES,
        shares=np.mean(shares) if shares else np.nan,
        shares_defined=len(shares) / SAMPLES,
        error=np.mean(errors) / np.std(errors),
    )


@pytest.fixture(scope="module", params=["real", "noise", "mixture"])
def regime(request):
    return request.param, measure(request.param)


def test_the_intervals_of_cross_fitted_sums_cover(regime):
    name, coverage = regime
    assert 0.92 <= coverage.groups <= 0.98
    assert 0.92 <= coverage.positive <= 0.98
    assert abs(coverage.error) < 0.2, "no bias to speak of"
    if name == "real":
        assert coverage.shares_defined == 1
    if name != "noise":
        assert coverage.shares_defined > 0.4
        assert 0.92 <= coverage.shares <= 0.98


def test_noise_alone_is_no_finding_where_the_uncorrected_sum_makes_it_one(regime):
    name, coverage = regime
    if name == "noise":
        assert coverage.shares_defined <= 0.05
        assert coverage.uncorrected <= 0.01
    if name == "mixture":
        assert coverage.uncorrected <= 0.2
