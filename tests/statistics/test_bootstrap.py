"""Bootstrap intervals, compared with scipy's and with the normal approximation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpo_neurons.statistics import bootstrap
from dpo_neurons.statistics.bootstrap import (
    interval,
    mean_intervals,
    resampled_counts,
    resampled_sums,
)

VALUES = np.random.default_rng(8).gamma(2.0, size=120)


def mean_interval(values, resamples, level, seed, weights=None):
    """Of one column, as numbers."""
    found = mean_intervals(values[:, None], resamples, level, seed, weights)
    return tuple(float(each[0]) for each in found)


def test_every_resample_draws_as_many_prompts_as_there_are():
    counts = resampled_counts(17, 500, seed=1)
    assert counts.shape == (500, 17)
    assert (counts.sum(axis=1) == 17).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(17), abs=0.2)


def test_the_interval_of_a_mean_is_scipys_percentile_interval():
    mean, low, high = mean_interval(VALUES, 8000, 0.95, seed=1)
    theirs = stats.bootstrap(
        (VALUES,), np.mean, n_resamples=8000, confidence_level=0.95, method="percentile", rng=2
    ).confidence_interval
    assert mean == pytest.approx(VALUES.mean())
    width = theirs.high - theirs.low
    assert [low, high] == pytest.approx([theirs.low, theirs.high], abs=0.05 * width)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_interval_follows_the_normal_approximation(level):
    mean, low, high = mean_interval(VALUES, 8000, level, seed=3)
    half = stats.norm.ppf((1 + level) / 2) * VALUES.std() / np.sqrt(len(VALUES))
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert low < mean < high


def test_weights_count_a_value_as_often():
    values, weights = np.array([1.0, 5.0, 9.0]), np.array([4, 1, 1])
    assert mean_interval(values, 10, 0.9, 0, weights)[0] == pytest.approx(18 / 6)
    # With all the weight on one value, resamples that hold it have its mean.
    heavy = np.ones(len(VALUES))
    heavy[VALUES.argmax()] = 1e9
    _, low, high = mean_interval(VALUES, 500, 0.9, 0, heavy)
    assert high == pytest.approx(VALUES.max())
    assert low < VALUES.max() / 2
    even = mean_interval(VALUES, 500, 0.9, 0)
    assert mean_interval(VALUES, 500, 0.9, 0, np.full(120, 7.0)) == pytest.approx(even)


def test_the_seed_decides():
    assert mean_interval(VALUES, 100, 0.9, 5) == mean_interval(VALUES, 100, 0.9, 5)
    assert mean_interval(VALUES, 100, 0.9, 5)[1:] != mean_interval(VALUES, 100, 0.9, 6)[1:]


def test_a_single_value_has_no_interval_and_a_constant_one_no_width():
    single = mean_interval(np.array([0.3]), 50, 0.95, 1)
    assert single == pytest.approx((0.3, np.nan, np.nan), nan_ok=True)
    assert mean_interval(np.full(9, 0.3), 50, 0.95, 1) == pytest.approx((0.3, 0.3, 0.3))


def test_bounds_are_central_quantiles_of_each_column():
    statistics = np.stack([np.arange(101), np.arange(101) * 2.0], axis=1)
    low, high = interval(statistics, 0.8)
    np.testing.assert_allclose(low, [10, 20])
    np.testing.assert_allclose(high, [90, 180])


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 100))
def test_sums_are_those_of_the_counts_however_they_are_cut_into_blocks(n, resamples, block):
    values = np.random.default_rng(n).normal(size=(n, 3))
    expected = resampled_counts(n, resamples, seed=7) @ values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "BLOCK", block)
        np.testing.assert_allclose(resampled_sums(values, resamples, seed=7), expected, atol=1e-12)


def test_columns_share_their_resamples():
    columns = np.stack([VALUES, 2 * VALUES + 1], axis=1)
    for one, other in np.array(mean_intervals(columns, 300, 0.9, 4)):
        assert other == pytest.approx(2 * one + 1)
