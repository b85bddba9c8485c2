"""Overlaps of sets of neurons, counted by hand, and chance by drawing."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.overlaps import COLUMNS, expect_shared, tabulate_overlaps
from dpo_neurons.interventions.plans import layer_plan, make_plan

D_MLP = 20


def plan_of(*neurons):
    return make_plan(pd.DataFrame(neurons, columns=["layer", "neuron"]), "set", 0.0)


def test_each_pair_of_sets_stands_once():
    plans = {
        "none": plan_of(),
        "patch_a": plan_of((0, 1), (0, 2), (1, 5)),
        "control_a": plan_of((0, 1), (0, 2), (1, 5)),
        "patch_b": plan_of((0, 2), (1, 5), (1, 6), (1, 7)),
        "steer": layer_plan(1, "subtract_direction", 2.0),
        "patch_heads": plan_of((0, 1), (0, 2)).assign(operation="set_head"),
        "patch_c": plan_of((0, 9)),
    }
    table = tabulate_overlaps(plans, D_MLP)
    assert tuple(table) == COLUMNS
    assert table[["first", "second", "shared"]].values.tolist() == [
        ["patch_a", "patch_b", 2], ["patch_a", "patch_c", 0], ["patch_b", "patch_c", 0]
    ]  # fmt: skip
    assert table["jaccard"].tolist() == [2 / 5, 0, 0]
    # Two neurons of layer 0 and one of it, one and three of layer 1.
    assert table.loc[0, "expected"] == pytest.approx(2 * 1 / 20 + 1 * 3 / 20)


def test_chance_is_that_of_drawing():
    first, second = pd.Series({0: 5, 1: 8}), pd.Series({0: 10, 2: 3, 1: 4})
    random = np.random.default_rng(1)
    shared = [
        sum(
            len(np.intersect1d(random.permutation(D_MLP)[: first.get(layer, 0)],
                               np.arange(second.get(layer, 0))))
            for layer in range(3)
        )
        for _ in range(4000)
    ]  # fmt: skip
    mean, deviation = expect_shared(first, second, D_MLP)
    assert mean == pytest.approx(np.mean(shared), abs=0.1)
    assert deviation == pytest.approx(np.std(shared), rel=0.05)
    assert expect_shared(pd.Series({0: D_MLP}), second, D_MLP) == (10, 0)
