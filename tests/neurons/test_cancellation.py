"""Sums of reducing and raising neurons, by hand."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.neurons.cancellation import (
    count_carrying_neurons,
    gini,
    measure_cancellation,
    strongest_neurons,
    tabulate_cancellation,
)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([2, 2, 2, 2], 0),
        ([0, 0, 0, 5], 3 / 4),  # one has all: 1 − 1/n
        ([1, 3], 1 / 4),
        ([0, 0], 0),
        ([7], 0),
    ],
)
def test_gini_by_hand(sizes, expected):
    assert gini(np.array(sizes, dtype=float)) == pytest.approx(expected)


def test_gini_is_the_mean_difference_over_twice_the_mean():
    sizes = np.random.default_rng(3).exponential(size=200)
    differences = np.abs(sizes[:, None] - sizes[None]).mean()
    assert gini(sizes) == pytest.approx(differences / (2 * sizes.mean()))


def test_carrying_neurons_are_the_fewest_that_have_the_share():
    falling = np.array([5.0, 3.0, 1.0, 1.0, 0.0, -8.0])
    assert [count_carrying_neurons(falling, share) for share in (0.5, 0.8, 0.81, 0.9, 1.0)] == [
        1,
        2,
        3,
        3,
        4,
    ]
    assert count_carrying_neurons(np.array([0.0, -1.0]), 0.5) == 0
    assert count_carrying_neurons(np.empty(0), 0.5) == 0


def test_cancellation_by_hand():
    measured = measure_cancellation(np.array([1.0, -2.0, 0.0, 3.0]))
    assert measured == pytest.approx(
        {
            "neurons": 4,
            "reducing": 4,
            "raising": -2,
            "net": 2,
            "cancelled": 0.5,
            "neurons_50": 1,
            "neurons_90": 2,
            "neurons_99": 2,
            # Sizes 0, 1, 2, 3: Σ (2i − n − 1) x / (n Σ x) = (−1 + 2 + 9) / 24.
            "gini": 10 / 24,
        }
    )


def test_where_nothing_reduces_nothing_is_cancelled():
    measured = measure_cancellation(np.array([-1.0, -3.0]))
    assert np.isnan(measured["cancelled"])
    assert (measured["reducing"], measured["net"], measured["neurons_99"]) == (0, -4, 0)


TABLE = pd.DataFrame(
    {
        "layer": [0, 0, 0, 1, 1, 1],
        "neuron": [0, 1, 2, 0, 1, 2],
        "group": pd.Categorical(["TP-", "AN-", "TP+", "TN-", "AP-", "unchanged"]),
        "reduction": [1.0, 3.0, -2.0, -4.0, -1.0, 0.0],
    }
)


def test_the_last_row_is_the_whole_model_and_sums_add_up():
    rows = tabulate_cancellation(TABLE)
    assert rows["layer"].tolist() == ["0", "1", "all"]
    for column in ("neurons", "reducing", "raising", "net"):
        assert rows[column].iloc[:2].sum() == pytest.approx(rows[column].iloc[2])
    assert rows["cancelled"].tolist() == pytest.approx([0.5, np.nan, 7 / 4], nan_ok=True)


def test_strongest_neurons_are_by_layer_and_side_with_their_share():
    strongest = strongest_neurons(TABLE, count=1)
    assert strongest[["layer", "side", "place", "neuron", "group"]].to_numpy().tolist() == [
        [0, "reducing", 1, 1, "AN-"],
        [0, "raising", 1, 2, "TP+"],
        [1, "raising", 1, 0, "TN-"],
    ]
    assert strongest["share"].tolist() == [0.75, 1.0, 0.8]
    more = strongest_neurons(TABLE, count=9)
    assert len(more) == 5, "a neuron that nothing moved has no side"
    assert more.groupby(["layer", "side"])["share"].sum().tolist() == pytest.approx([1, 1, 1])
