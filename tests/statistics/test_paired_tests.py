"""Sign-flip tests, compared with exact enumeration and scipy; Holm's correction by hand."""

import itertools
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpo_neurons.statistics import paired_tests
from dpo_neurons.statistics.paired_tests import (
    FLIPS,
    correct_by_holm,
    sign_flip_p_values,
    smallest_p_value,
)


def exact(differences):
    """The share of all assignments of signs whose sum is as far from zero."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    return np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.0])
def test_p_is_the_share_of_all_flips(shift):
    differences = np.random.default_rng(4).normal(size=11) + shift
    (p,) = sign_flip_p_values(differences[:, None], seed=1)
    assert p == pytest.approx(exact(differences), rel=1e-12)
    (drawn,) = sign_flip_p_values(differences[:, None], seed=1, flips=2000)
    assert drawn == pytest.approx(exact(differences), abs=0.035)


def test_p_is_scipys():
    differences = np.random.default_rng(2).gamma(1.5, size=80) - 1.3
    theirs = stats.permutation_test(
        (differences, np.zeros(80)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=10_000,
        vectorized=True,
        rng=3,
    ).pvalue
    (p,) = sign_flip_p_values(differences[:, None], seed=1)
    assert p == pytest.approx(theirs, abs=0.015)


def test_three_prompts_by_hand():
    # Of the eight sums of ±1 ±2 ±3, +6 and -6 alone are as far out as 6; and as 0.
    differences = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, -3.0, 0.0]])
    p = sign_flip_p_values(differences, seed=1)
    assert p == pytest.approx([2 / 8, 1, 1], rel=1e-12)


def test_equal_sums_are_ties_in_spite_of_rounding():
    # 0.1 + 0.2 is not 0.3: every sum of size 0.6 must count, in any order of adding.
    differences = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])[:, None] * [[1, 1 / 3, 1e-9]]
    p = sign_flip_p_values(differences, seed=1)
    assert p == pytest.approx(np.full(3, 2 / 64), rel=1e-12)
    assert p[0] == p[1] == p[2]


@pytest.mark.parametrize("n", [1, 6, 13, 14, 500])
def test_the_smallest_p_is_that_of_differences_of_one_sign(n):
    differences = np.random.default_rng(0).uniform(1, 2, size=(n, 1))
    (p,) = sign_flip_p_values(differences, seed=1)
    # Of 2^14 assignments some random ones may be as far out as the observed one.
    assert p == pytest.approx(smallest_p_value(n), abs=4e-4 if n == 14 else 0)
    assert smallest_p_value(n) == pytest.approx(2 / 2**n if n < 14 else 1 / 10_001)


def test_no_p_is_zero():
    (p,) = sign_flip_p_values(np.ones((500, 1)), seed=1)
    assert p == 1 / (FLIPS + 1)


def test_under_the_null_hypothesis_p_is_uniform():
    differences = np.random.default_rng(6).normal(size=(60, 800))
    p = sign_flip_p_values(differences, seed=1, flips=999)
    for level in (0.05, 0.25, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.05)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 200))
def test_blocks_change_nothing(n, flips, block):
    differences = np.random.default_rng(n).normal(size=(n, 2))
    whole = sign_flip_p_values(differences, seed=3, flips=flips)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired_tests, "BLOCK", block)
        np.testing.assert_array_equal(sign_flip_p_values(differences, 3, flips), whole)


@given(st.floats(1e-6, 1e6))
def test_the_unit_and_the_sign_of_differences_do_not_matter(unit):
    differences = np.random.default_rng(8).normal(size=(25, 3))
    p = sign_flip_p_values(differences, seed=2, flips=200)
    np.testing.assert_array_equal(sign_flip_p_values(-unit * differences, 2, 200), p)


def test_a_published_study_takes_seconds_and_little_memory():
    differences = np.random.default_rng(0).normal(size=(1199, 100))
    started = time.process_time()
    tracemalloc.start()
    sign_flip_p_values(differences, seed=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 10
    assert peak < 150e6


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1; the third may not fall below the second.
    found = correct_by_holm(np.array([0.03, 0.01, 0.5, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(correct_by_holm(np.array([0.4, 0.6])), [0.8, 0.8])
    np.testing.assert_allclose(correct_by_holm(np.array([0.02])), [0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_step_by_step(p_values):
    p = np.array(p_values)
    corrected = correct_by_holm(p)
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    for level in (0.05, 0.3):
        rejected, left = set(), len(p)
        for index in np.argsort(p, kind="stable"):
            if p[index] * left > level:
                break
            rejected.add(int(index))
            left -= 1
        assert set(np.flatnonzero(corrected <= level)) == rejected


def test_a_difference_that_is_no_number_has_no_p_value_and_is_no_hypothesis():
    random = np.random.default_rng(2)
    differences = random.normal(0.4, 1, size=(30, 3))
    clean = sign_flip_p_values(differences, seed=1)
    differences[4, 1] = np.nan
    p_values = sign_flip_p_values(differences, seed=1)
    assert np.isnan(p_values).tolist() == [False, True, False]
    np.testing.assert_array_equal(p_values[[0, 2]], clean[[0, 2]])
    corrected = correct_by_holm(p_values)
    assert np.isnan(corrected[1])
    np.testing.assert_array_equal(corrected[[0, 2]], correct_by_holm(clean[[0, 2]]))
