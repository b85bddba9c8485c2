"""Neuron groups: the tables of both definitions, row by row."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING, UNCHANGED, assign_groups

# cosine, activation before, after, reduction; v1's group, v3's group. The value vector may change,
# so the reduction's sign is independent of the activation's change.
TABLE = [
    (+1, +2, +1, +1, "TP-", "TP-"),
    (+1, +2, +3, -1, "TP+", "TP+"),
    (+1, +2, +3, +1, "TP+", "TP-"),
    (+1, +2, +1, -1, "TP-", "TP+"),
    (+1, +2, +2, +1, UNCHANGED, "TP-"),
    (+1, +2, +1, 0, "TP-", UNCHANGED),
    (+1, -2, -3, +1, "TN+", "TN+"),
    (+1, -2, -1, -1, "TN-", "TN-"),
    (+1, -2, -1, +1, "TN-", "TN+"),
    (+1, -2, -3, -1, "TN+", "TN-"),
    (+1, -2, -2, -1, UNCHANGED, "TN-"),
    (-1, +2, +3, +1, "AP+", "AP+"),
    (-1, +2, +1, -1, "AP-", "AP-"),
    (-1, +2, +1, +1, "AP-", "AP+"),
    (-1, +2, +3, -1, "AP+", "AP-"),
    (-1, +2, +2, +1, UNCHANGED, "AP+"),
    (-1, -2, -1, +1, "AN-", "AN-"),
    (-1, -2, -3, -1, "AN+", "AN+"),
    (-1, -2, -3, +1, "AN+", "AN-"),
    (-1, -2, -1, -1, "AN-", "AN+"),
    (-1, -2, -2, 0, UNCHANGED, UNCHANGED),
    # Zero counts as positive before; a move through zero is a move.
    (+1, 0, -1, +1, "TP-", "TP-"),
    (-1, 0, +1, +1, "AP+", "AP+"),
    (+1, +1, -2, +1, "TP-", "TP-"),
    (-1, -1, +2, +1, "AN-", "AN-"),
    # Orthogonal to the direction.
    (0, +2, +1, +1, UNCHANGED, UNCHANGED),
    (0, -2, -1, -1, UNCHANGED, UNCHANGED),
]

numbers = st.floats(-10, 10, allow_subnormal=False)


def columns(rows):
    return [np.array(column, dtype=float) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("definition", ["v1", "v3"])
def test_every_combination_by_hand(definition):
    *numeric, v1, v3 = zip(*TABLE, strict=True)
    actual = assign_groups(*columns(zip(*numeric, strict=True)), definition)
    assert actual.tolist() == list(v1 if definition == "v1" else v3)


def test_the_table_covers_every_group_under_both_definitions():
    for definition in (4, 5):
        assert {row[definition] for row in TABLE} == {*GROUPS, UNCHANGED}


@st.composite
def neurons(draw):
    n = draw(st.integers(1, 30))
    return tuple(draw(arrays(float, n, elements=numbers)) for _ in range(4))


@settings(max_examples=40, deadline=None)
@given(neurons(), st.sampled_from(["v1", "v3"]))
def test_every_neuron_is_in_exactly_one_group(arrays_of_neurons, definition):
    cosine, pre, post, reduction = arrays_of_neurons
    groups = assign_groups(cosine, pre, post, reduction, definition)
    assert groups.shape == cosine.shape
    assert set(groups) <= {*GROUPS, UNCHANGED}
    moved = (post != pre) if definition == "v1" else (reduction != 0)
    np.testing.assert_array_equal(groups != UNCHANGED, (cosine != 0) & moved)
    for name, cos, m in zip(groups, cosine, pre, strict=True):
        if name != UNCHANGED:
            assert name[:2] == ("T" if cos > 0 else "A") + ("P" if m >= 0 else "N")


@settings(max_examples=40, deadline=None)
@given(neurons())
def test_under_v3_reducing_groups_reduce_and_raising_ones_raise(arrays_of_neurons):
    groups = assign_groups(*arrays_of_neurons, "v3")
    reduction = arrays_of_neurons[3]
    assert (reduction[np.isin(groups, REDUCING)] > 0).all()
    assert (reduction[np.isin(groups, RAISING)] < 0).all()


@settings(max_examples=40, deadline=None)
@given(neurons())
def test_definitions_agree_where_value_vectors_do_not_change(arrays_of_neurons):
    cosine, pre, post, _ = arrays_of_neurons
    assume(((pre == post) | (np.abs(pre - post) > 1e-6)).all())
    assume(((cosine == 0) | (np.abs(cosine) > 1e-6)).all())
    reduction = pre * cosine * 3 - post * cosine * 3
    np.testing.assert_array_equal(
        assign_groups(cosine, pre, post, reduction, "v1"),
        assign_groups(cosine, pre, post, reduction, "v3"),
    )


@settings(max_examples=40, deadline=None)
@given(neurons(), st.sampled_from(["v1", "v3"]))
def test_turning_the_direction_round_swaps_toxic_and_anti_toxic(arrays_of_neurons, definition):
    cosine, pre, post, reduction = arrays_of_neurons
    mirror = {f"{a}{b}": f"{'AT'['TA'.index(a)]}{b}" for a, b in product("TA", "PN")}
    there = assign_groups(cosine, pre, post, reduction, definition)
    back = assign_groups(-cosine, pre, post, -reduction, definition)
    for group, turned in zip(there, back, strict=True):
        if group == UNCHANGED:
            assert turned == UNCHANGED
        else:
            assert turned == mirror[group[:2]] + group[2]
            assert (group in REDUCING) == (turned in RAISING)


def test_an_unknown_definition_is_an_error():
    with pytest.raises(ValueError, match="definition must be one of"):
        assign_groups(*np.zeros((4, 1)), "v2")
