"""Cross-fitted sums: their variance against closed forms, shares, and what is undefined."""

import numpy as np
import pytest
from scipy import stats

from dpo_neurons.statistics.bootstrap import resampled_counts
from dpo_neurons.statistics.cross_fitting import (
    FOLDS,
    CrossFit,
    assign_folds,
    share_intervals,
    sum_intervals,
)


def fixed_sets(values):
    """A fit whose sets never depend on the prompts."""
    folds = min(FOLDS, len(values))
    return CrossFit(values, np.zeros((folds, folds, values.shape[1])))


def test_folds_are_even_random_and_the_same_each_time():
    folds = assign_folds(47, seed=3)
    assert sorted(np.bincount(folds)) == [4] * 3 + [5] * 7
    np.testing.assert_array_equal(folds, assign_folds(47, seed=3))
    assert (folds != assign_folds(47, seed=4)).any()
    assert sorted(assign_folds(4, seed=0)) == [0, 1, 2, 3], "few prompts: each by itself"


def test_sets_that_do_not_depend_on_prompts_have_the_interval_of_a_mean():
    random = np.random.default_rng(0)
    values = random.normal(3, 2, size=(200, 2))
    fit = fixed_sets(values)
    value, low, high = sum_intervals(fit, resampled_counts(200, 4000, 1), 0.95)
    np.testing.assert_allclose(value, values.mean(axis=0))
    expected = stats.t.interval(0.95, 199, values.mean(axis=0), stats.sem(values))
    np.testing.assert_allclose([low, high], expected, rtol=0.02)


def chosen_by_sign(x, folds):
    """The sum of what is positive elsewhere, of values (n, n_members), the long way."""
    n, n_folds = len(x), int(folds.max()) + 1
    values, shifts = np.empty((n, 1)), np.zeros((n_folds, n_folds, 1))
    for k in range(n_folds):
        here = folds == k
        chosen = x[~here].mean(axis=0) > 0
        values[here, 0] = x[here][:, chosen].sum(axis=1)
        for other in set(range(n_folds)) - {k}:
            fewer = x[~here & (folds != other)].mean(axis=0) > 0
            change = chosen.astype(float) - fewer
            shifts[k, other, 0] = (x[here] @ change).sum() / n
    return CrossFit(values, shifts)


def test_the_wider_interval_is_that_of_members_chosen_by_chance():
    # For K folds of a normal sample around 0, Var = own (1 + 2 (K − 1) c), where c is the mean of
    # φ(a)² over a ~ N(0, K − 2): own is half the variance of a member's mean.
    c = 1 / (2 * np.pi * np.sqrt(1 + 2 * (FOLDS - 2)))
    expected = 1 + 2 * (FOLDS - 1) * c
    random = np.random.default_rng(5)
    folds = assign_folds(200, 0)
    fits = [chosen_by_sign(random.normal(size=(200, 300)), folds) for _ in range(80)]
    # At this level Student's quantile and the normal one are both 1.
    level = 2 * stats.norm.cdf(1) - 1
    ratios = [fit.error_ratio(level)[0] ** 2 for fit in fits]
    assert np.mean(ratios) == pytest.approx(expected, rel=0.06)
    errors = [fit.estimate[0] for fit in fits]
    own = np.mean([fit.values.var(ddof=1) / 200 for fit in fits])
    assert np.var(errors) / own == pytest.approx(expected, rel=0.35)


def test_shares_by_hand_and_their_interval():
    random = np.random.default_rng(2)
    values = random.normal([6, 3, 1], 1, size=(400, 3))
    value, low, high = share_intervals(fixed_sets(values), resampled_counts(400, 3000, 1), 0.9)
    means = values.mean(axis=0)
    np.testing.assert_allclose(value, means / means.sum())
    for place in range(3):
        residual = values[:, place] - value[place] * values.sum(axis=1)
        error = stats.sem(residual) / means.sum()
        expected = value[place] + stats.norm.ppf([0.05, 0.95]) * error
        np.testing.assert_allclose([low[place], high[place]], expected, atol=0.1 * error)


def test_shares_of_a_sum_that_may_be_zero_are_undefined():
    values = np.random.default_rng(2).normal([0.1, -0.1], 1, size=(100, 2))
    for numbers in share_intervals(fixed_sets(values), resampled_counts(100, 500, 1), 0.95):
        assert np.isnan(numbers).all()


def test_no_change_at_all_has_an_interval_of_zero_and_no_shares():
    fit, counts = fixed_sets(np.zeros((30, 2))), resampled_counts(30, 100, 1)
    np.testing.assert_array_equal(sum_intervals(fit, counts, 0.95), np.zeros((3, 2)))
    assert np.isnan(share_intervals(fit, counts, 0.95)).all()


def test_a_single_prompt_has_no_interval():
    fit = CrossFit(np.full((1, 2), np.nan), np.zeros((1, 1, 2)))
    counts = resampled_counts(1, 10, 0)
    assert np.isnan(sum_intervals(fit, counts, 0.95)).all()
    assert np.isnan(share_intervals(fit, counts, 0.95)).all()
