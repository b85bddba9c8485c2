"""Random sets of neurons match what they are drawn for, class by class."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.interventions.planning import (
    plan_damping,
    plan_for_heads,
    plan_moved_damping,
)
from dpo_neurons.interventions.random_sets import draw_matched_heads, draw_matched_sets

PER_LAYER = 100


@pytest.fixture
def neurons():
    """Three layers of neurons; activations differ by orders of magnitude."""
    random = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "layer": np.repeat([0, 1, 2], PER_LAYER),
            "neuron": np.tile(np.arange(PER_LAYER), 3),
            "activation_pre": random.normal(size=300) * 10.0 ** random.integers(-3, 3, size=300),
            "norm": random.uniform(1, 5, size=300),
        }
    )


def test_layer_number_and_activation_are_matched(neurons):
    # Loud neurons of layer 0, soft ones of layer 2.
    size = neurons["activation_pre"].abs()
    rank = size.groupby(neurons["layer"]).rank()
    loud, soft = (neurons["layer"] == 0) & (rank > 80), (neurons["layer"] == 2) & (rank <= 20)
    chosen = neurons[loud | soft]
    for drawn in draw_matched_sets(neurons, chosen, 5, seed=1):
        assert not drawn.duplicated(["layer", "neuron"]).any()
        # The loudest and softest fifth are drawn whole: nothing else is like them.
        assert sorted(drawn.index) == sorted(chosen.index)


def test_sets_differ_where_there_are_others_like_the_chosen(neurons):
    chosen = neurons.sample(30, random_state=2)
    sets = list(draw_matched_sets(neurons, chosen, 40, seed=1))
    assert {tuple(drawn.index) for drawn in sets} != {tuple(sets[0].index)}
    for drawn in sets:
        counts = drawn["layer"].value_counts().to_dict()
        assert counts == chosen["layer"].value_counts().to_dict()
    sizes = [np.log(drawn["activation_pre"].abs()).mean() for drawn in sets]
    assert np.mean(sizes) == pytest.approx(np.log(chosen["activation_pre"].abs()).mean(), abs=0.6)
    again = list(draw_matched_sets(neurons, chosen, 40, seed=1))
    assert all(one.equals(other) for one, other in zip(sets, again, strict=True))


def test_each_neuron_of_a_class_is_as_likely(neurons):
    """One of a class of ten is drawn about one time in ten, the chosen one too."""
    chosen = neurons[neurons["layer"] == 1].sample(1, random_state=3)
    drawn = pd.concat(draw_matched_sets(neurons, chosen, 2000, seed=4))
    counts = drawn.index.value_counts()
    assert len(counts) == PER_LAYER / 10
    assert chosen.index[0] in counts.index
    assert counts.between(140, 260).all()  # 200 expected, more than four standard deviations


def test_heads_are_drawn_whole_from_those_of_their_layer_and_size():
    n_heads, d_head = 8, 3
    heads = pd.DataFrame(
        {
            "layer": np.repeat([0, 1], n_heads * d_head),
            "head": np.tile(np.repeat(np.arange(n_heads), d_head), 2),
            "neuron": np.tile(np.arange(n_heads * d_head), 2),
        }
    )
    # In each layer, heads 0 to 3 give little and heads 4 to 7 much.
    heads["activation_pre"] = np.where(heads["head"] < 4, 0.1, -5.0) + 0.01 * heads["neuron"]
    chosen = heads[(heads["layer"] == 0) & heads["head"].isin([1, 6, 7])]
    drawn = [
        sorted(set(zip(heads_drawn["layer"], heads_drawn["head"], strict=True)))
        for heads_drawn in draw_matched_heads(heads, chosen[["layer", "neuron"]], 200, seed=2)
    ]
    for heads_drawn in draw_matched_heads(heads, chosen, 3, seed=2):
        assert (heads_drawn.groupby(["layer", "head"]).size() == d_head).all()
    assert all(layer == 0 for places in drawn for layer, _ in places)
    assert {sum(head < 4 for _, head in places) for places in drawn} == {1}
    assert {len(places) for places in drawn} == {3}
    # 4 quiet heads for one place, 6 pairs of loud ones for the others.
    assert len({tuple(places) for places in drawn}) == 24
    # Each head is shifted by its own shift.
    heads["activation_post"] = heads["activation_pre"] + heads["neuron"]
    for coordinates in draw_matched_heads(heads, chosen, 3, seed=2):
        plan = plan_for_heads(coordinates, {"kind": "shift", "dose": 0.5})
        assert plan["operation"].eq("add_head").all()
        assert plan["neuron"].tolist() == coordinates["neuron"].tolist()
        np.testing.assert_allclose(plan["value"], plan["neuron"] / 2)


def test_a_damping_is_moved_to_other_neurons_with_its_factors(neurons):
    random = np.random.default_rng(5)
    damping = plan_damping(neurons.assign(score=random.uniform(0, 1, size=300)))
    moved = [
        plan_moved_damping(drawn, damping, random)
        for drawn in draw_matched_sets(neurons, damping, 2, seed=1)
    ]
    for plan in moved:
        assert plan["operation"].eq("scale").all()
        assert set(plan["neuron"]) != set(damping["neuron"])
        for layer in range(3):
            factors, own = (
                table.loc[table["layer"] == layer, "value"] for table in (plan, damping)
            )
            np.testing.assert_array_equal(np.sort(factors), np.sort(own))
            assert factors.tolist() != own.tolist()
    assert not moved[0].equals(moved[1])
