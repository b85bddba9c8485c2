"""Changes of value vectors against a shift, by hand."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.neurons.residual_shifts import BINS, compare_changes, count_by_cosine

SHIFT = np.array([0.0, 2.0, 0.0])
CHANGE = np.array([[0, -3.0, 0], [1, 1, 0], [0, 0, 0], [4, 0, 0], [0, 5, 0]])
ACTIVATION = np.array([-0.5, 2.0, 9.0, -1.0, 0.0])


def test_a_change_against_the_shift_at_a_negative_activation_writes_along_it():
    compared = compare_changes(CHANGE, ACTIVATION, SHIFT)
    assert compared["activation"].tolist() == ["negative", "positive", "negative", "zero"]
    np.testing.assert_allclose(compared["cosine"], [-1, np.sqrt(0.5), 0, 1])
    # In units of the shift, 2 long: −0.5 × −3, 2 × 1, none, none at all.
    np.testing.assert_allclose(compared["written"], [0.75, 1, 0, 0], atol=1e-12)


def test_what_all_changes_write_is_their_sum_along_the_shift():
    random = np.random.default_rng(0)
    change, activation = random.normal(size=(50, 7)), random.normal(size=50)
    shift = activation @ change
    assert compare_changes(change, activation, shift)["written"].sum() == pytest.approx(1)


def test_without_a_shift_nothing_lies_along_it():
    compared = compare_changes(CHANGE, ACTIVATION, np.zeros(3))
    assert compared["cosine"].tolist() == compared["written"].tolist() == [0, 0, 0, 0]


def test_nothing_changed_is_no_row():
    compared = compare_changes(np.zeros((4, 3)), np.ones(4), SHIFT)
    counted = count_by_cosine(compared)
    assert len(compared) == len(counted) == 0
    assert list(counted) == ["activation", "cosine_low", "cosine_high", "neurons", "written"]


def test_every_cosine_falls_into_one_bin_its_ends_included():
    cosines = [-1.0, -0.999, -0.98, 0.0, 0.019, 0.02, 0.99, 1.0]
    table = pd.DataFrame({"activation": "negative", "cosine": cosines, "written": 0.5})
    counted = count_by_cosine(table)
    assert counted["neurons"].sum() == len(cosines)
    assert counted["neurons"].tolist() == [2, 1, 2, 1, 2]
    assert counted["cosine_low"].tolist() == [-1, -0.98, 0, 0.02, 0.98]
    assert counted["written"].tolist() == [1, 0.5, 1, 0.5, 1]
    np.testing.assert_allclose(counted["cosine_high"] - counted["cosine_low"], 2 / BINS)


def test_counts_are_numpys_histogram():
    random = np.random.default_rng(1)
    signs = random.choice(["negative", "positive"], 500)
    table = pd.DataFrame({"activation": signs, "cosine": random.uniform(-1, 1, 500)})
    counted = count_by_cosine(table.assign(written=1.0))
    for sign, rows in counted.groupby("activation"):
        counts, edges = np.histogram(table["cosine"][signs == sign], BINS, (-1, 1))
        np.testing.assert_array_equal(rows["neurons"], counts[counts > 0])
        np.testing.assert_allclose(rows["cosine_low"], edges[:-1][counts > 0], atol=1e-6)
