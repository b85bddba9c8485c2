"""Shares of fine-tuning's effect by hand, and undefined ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.evaluation.effect_shares import effect_shares

HOW = {"resamples": 2000, "level": 0.95, "seed": 1}


def noisy(n=200, effect=0.3, noise=0.2):
    """Toxicity before, after, and under an intervention that goes half the way."""
    random = np.random.default_rng(5)
    before = 0.6 + noise * random.normal(size=n)
    after = before - effect + noise * random.normal(size=n)
    halfway = before - effect / 2 + noise * random.normal(size=n)
    return before, after, halfway


def test_shares_by_hand():
    before, after = np.array([0.9, 0.5, 0.4]), np.array([0.3, 0.2, 0.1])
    outcomes = np.array([[0.6, 0.9, 0.9], [0.5, 0.5, 0.2], [0.1, 0.7, 0.1]])
    share, _, _ = effect_shares(before, after, outcomes, **HOW)
    # The means are 0.6 before and 0.2 after; 0.4, 0.7 and 0.4 between.
    np.testing.assert_allclose(share, [0.5, -0.25, 0.5])


def test_nothing_and_everything_have_no_width():
    before, after, _ = noisy()
    shares = effect_shares(before, after, np.stack([before, after], axis=1), **HOW)
    np.testing.assert_allclose(shares, [[0, 1]] * 3, atol=1e-12)


def test_the_interval_resamples_the_same_prompts_for_all_three():
    before, after, halfway = noisy()
    share, low, high = effect_shares(before, after, halfway[:, None], **HOW)
    drawn = np.random.default_rng(0).integers(200, size=(4000, 200))
    means = [values[drawn].mean(axis=1) for values in (before, halfway, after)]
    wanted = np.quantile((means[0] - means[1]) / (means[0] - means[2]), [0.025, 0.975])
    assert [low[0], high[0]] == pytest.approx(wanted, abs=0.01)
    assert low[0] < share[0] < high[0]


@given(st.floats(0.01, 100), st.floats(-5, 5), st.sampled_from([1, -1]))
def test_unit_origin_and_sign_of_the_scores_do_not_matter(unit, origin, sign):
    scores = noisy(40)
    moved = [origin + sign * unit * values for values in scores]
    expected = effect_shares(*scores[:2], scores[2][:, None], **HOW)
    found = effect_shares(*moved[:2], moved[2][:, None], **HOW)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("effect", [0.0, 0.005, -0.005])
def test_an_effect_that_is_none_has_no_shares(effect):
    before, after, halfway = noisy(effect=effect)
    assert np.isnan(effect_shares(before, after, halfway[:, None], **HOW)).all()
    assert np.isnan(effect_shares(before, before, halfway[:, None], **HOW)).all()


def test_an_effect_on_one_prompt_alone_is_not_told_from_none():
    before, after = np.full(50, 0.5), np.full(50, 0.5)
    after[7] = 0.1
    assert np.isnan(effect_shares(before, after, before[:, None], **HOW)).all()


@given(st.integers(1, 30), st.integers(1, 60), st.integers(0, 1000))
def test_what_is_defined_is_finite(n, resamples, seed):
    random = np.random.default_rng(seed)
    before, after, other = random.normal([[0.7], [0], [0.3]], size=(3, n))
    outcomes = np.stack([before, after, other], axis=1)
    shares = np.array(effect_shares(before, after, outcomes, resamples, 0.9, seed))
    assert np.isfinite(shares).all() or np.isnan(shares).all()


def test_resamples_without_the_effect_widen_the_interval_to_the_side_of_the_numerator():
    # Borderline: a few resamples in a hundred have the opposite effect.
    random = np.random.default_rng(11)
    drop = 0.1 + random.normal(size=60) * 0.4
    before, after = np.zeros(60), -drop
    outcome = before - 0.05 - random.normal(size=60) * 0.01
    share, low, high = effect_shares(before, after, outcome[:, None], 4000, 0.9, 1)
    resampled = np.random.default_rng(2).integers(60, size=(4000, 60))
    opposite = np.mean(drop[resampled].sum(axis=1) <= 0)
    assert 0.005 < opposite < 0.05
    assert 0 < low[0] < share[0] < high[0] < np.inf
