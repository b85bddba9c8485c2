"""Selecting neurons from a table of contributions, and heads from theirs."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.interventions.neuron_selection import (
    select_by_cosine,
    select_for_editing,
    select_groups,
    select_heads,
)
from dpo_neurons.interventions.planning import plan_for_heads

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
    # Half of three rounds down to one.
    assert strengthened["neuron"].tolist() == [7, 10]
    weakened, strengthened = select_for_editing(table, 1.0)
    assert sorted([*weakened["neuron"], *strengthened["neuron"]]) == list(range(11))


def test_the_most_active_of_either_sign_are_left_out_of_editing():
    table = pd.DataFrame(
        {
            "neuron": range(6),
            "cosine": [0.1, 0.3, 0.2, 0.4, -0.2, 0.5],
            "activation_pre": [1.0, 5.0, 3.0, -4.0, -0.5, -2.0],
        }
    )
    # 0.4 of six neurons rounds down to two: 1 and 3.
    weakened, strengthened = select_for_editing(table, 1.0, without_most_active=0.4)
    assert (weakened["neuron"].tolist(), strengthened["neuron"].tolist()) == ([2, 0, 4], [5])


@pytest.fixture
def heads():
    """Two layers of two heads, three coordinates each."""
    reductions = np.repeat([0.1, -0.4, 0.9, 0.2], 3)
    index = pd.DataFrame({"layer": np.repeat([0, 1], 6), "head": np.repeat([0, 1, 0, 1], 3)})
    return index.assign(
        neuron=[*range(6)] * 2,
        activation_pre=np.arange(12.0),
        activation_post=np.arange(12.0) + 100,
        reduction=reductions,
    )


@pytest.mark.parametrize(
    ("row", "operation", "values"),
    [
        ({"kind": "patch"}, "set_head", [106, 107, 108, 109, 110, 111]),
        ({"kind": "control"}, "set_head", [6, 7, 8, 9, 10, 11]),
        ({"kind": "ablate"}, "set_head", [0] * 6),
        ({"kind": "shift", "dose": 0.5}, "add_head", [50] * 6),
        ({"kind": "patch", "values": "same_text"}, "set_head_same_text", [1] * 6),
    ],
)
def test_a_row_changes_all_coordinates_of_the_heads_that_write_most_of_the_shift(
    heads, row, operation, values
):
    plan = plan_for_heads(select_heads(heads, 2), row)
    assert list(zip(plan["layer"], plan["neuron"], strict=True)) == [(1, n) for n in range(6)]
    assert set(plan["operation"]) == {operation}
    assert plan["value"].tolist() == values
