"""Selecting neurons from a table of contributions."""

import pandas as pd
import pytest

from dpo_neurons.interventions.neuron_selection import (
    select_by_cosine,
    select_for_editing,
    select_groups,
)

TABLE = pd.DataFrame(
    {
        "layer": [0, 0, 0, 1, 1, 1],
        "neuron": [0, 1, 2, 0, 1, 2],
        "cosine": [0.1, 0.9, -0.8, 0.5, 0.5, 0.7],
        "activation_pre": [1.0, -1.0, 2.0, 0.0, 3.0, 4.0],
        "group": pd.Categorical(["TP-", "TN+", "AP+", "TP+", "TP-", "unchanged"]),
    }
)


def names(rows):
    return list(rows[["layer", "neuron"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("top", "only_positive", "chosen"),
    [
        (1, False, [(0, 1)]),
        (2, False, [(0, 1), (1, 2)]),
        (3, False, [(0, 1), (1, 2), (1, 0)]),  # the first of two equals
        (99, False, [(0, 1), (1, 2), (1, 0), (1, 1), (0, 0), (0, 2)]),
        (2, True, [(1, 2), (1, 1)]),
        (99, True, [(1, 2), (1, 1), (0, 0), (0, 2)]),
    ],
)
def test_the_most_toxic_are_those_with_the_largest_cosine(top, only_positive, chosen):
    assert names(select_by_cosine(TABLE, top, only_positive)) == chosen


@pytest.mark.parametrize(
    ("groups", "chosen"),
    [
        (["TP-"], [(0, 0), (1, 1)]),
        (["AP+", "TN+"], [(0, 1), (0, 2)]),
        (["AN-"], []),
        ([], []),
    ],
)
def test_neurons_of_several_groups_come_in_the_order_of_the_table(groups, chosen):
    assert names(select_groups(TABLE, groups)) == chosen


def test_edited_are_the_most_aligned_that_write_and_the_least_aligned_that_hold_back():
    table = pd.DataFrame(
        {
            "layer": 0,
            "neuron": range(12),
            #           TP ............  AN .....  TN ...........  AP .....  neither
            "cosine": [0.1, 0.3, 0.2, 0.4, -0.2, -0.1, 0.5, 0.1, 0.3, -0.4, -0.2, 0.0],
            "activation_pre": [1, 1, 1, 0, -1, -1, -1, -1, -1, 1, 1, 1],
        }
    )
    weakened, strengthened = select_for_editing(table, 0.5)
    assert weakened["neuron"].tolist() == [3, 1, 4]
    # Half of three rounds to two.
    assert strengthened["neuron"].tolist() == [7, 8, 10]
    weakened, strengthened = select_for_editing(table, 1.0)
    assert sorted([*weakened["neuron"], *strengthened["neuron"]]) == list(range(11))
