"""Shares of fine-tuning's effect by hand, and undefined ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpo_neurons.evaluation.effect_shares import effect_shares

HOW = {"level": 0.95}


def noisy(n=200, effect=0.3, noise=0.2):
    """Toxicity before, after, and under an intervention that goes half the way."""
    random = np.random.default_rng(5)
    before = 0.6 + noise * random.normal(size=n)
    after = before - effect + noise * random.normal(size=n)
    halfway = before - effect / 2 + noise * random.normal(size=n)
    return before, after, halfway


def test_shares_by_hand():
    before = np.array([0.9, 0.5, 0.4] * 5)
    after = np.array([0.3, 0.2, 0.1] * 5)
    outcomes = np.array([[0.6, 0.9], [0.4, 0.6], [0.2, 0.6]] * 5)
    share, _, _ = effect_shares(before, after, outcomes, **HOW)
    # The means are 0.6 before and 0.2 after; 0.4 and 0.7 between.
    np.testing.assert_allclose(share, [0.5, -0.25])


def test_the_interval_holds_the_shares_that_a_paired_t_test_does_not_reject():
    before, after, halfway = noisy(60)
    share, low, high = effect_shares(before, after, halfway[:, None], **HOW)
    assert low[0] < share[0] < high[0]
    for end in (low[0], high[0]):
        expected = before - end * (before - after)
        assert stats.ttest_rel(halfway, expected).pvalue == pytest.approx(0.05)


@pytest.mark.parametrize("changed", [0, 4, 5])
@pytest.mark.parametrize("near", [0, 1])
def test_few_changed_prompts_leave_a_share_undefined(changed, near):
    before, after, halfway = noisy()
    outcome = (before, after)[near].copy()
    outcome[:changed] = halfway[:changed]
    shares = np.array(effect_shares(before, after, outcome[:, None], **HOW))
    assert np.isfinite(shares).all() == (changed == 5)
    assert np.isnan(shares).all() == (changed < 5)


@pytest.mark.parametrize("n", [20, 50, 128, 256])
@pytest.mark.parametrize("changed", [0.05, 0.1, 0.3])
def test_small_shares_are_covered_or_undefined(n, changed):
    """Most prompts write the same text, so that few tell of the share."""
    random = np.random.default_rng(n)

    def scores(size):
        before = random.beta(0.3, 0.5, size) * (random.random(size) < 0.7)
        after = before * random.beta(0.3, 1.2, size)
        other = random.beta(0.3, 0.7, size) * (random.random(size) < 0.6)
        return before, after, np.where(random.random(size) < changed, other, before)

    means = [values.mean() for values in scores(1_000_000)]
    truth = (means[0] - means[2]) / (means[0] - means[1])
    assert 0 < truth < 0.2
    held = []
    for _ in range(600):
        before, after, outcome = scores(n)
        _, low, high = effect_shares(before, after, outcome[:, None], **HOW)
        if np.isfinite(low[0]):
            held.append(low[0] <= truth <= high[0])
    if n * changed > 10:
        assert len(held) > 500
    if len(held) >= 100:
        assert np.mean(held) >= 0.92


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


@given(st.integers(1, 30), st.integers(0, 1000))
def test_what_is_defined_is_finite(n, seed):
    random = np.random.default_rng(seed)
    before, after, *others = random.normal([[0.7], [0], [0.3], [0.5]], size=(4, n))
    shares = np.array(effect_shares(before, after, np.stack(others, axis=1), 0.9))
    assert np.isfinite(shares).all() or np.isnan(shares).all()
