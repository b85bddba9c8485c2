"""Live shifts: what they add, their random control, and a dose of a second model's activations."""

import numpy as np
import pandas as pd
import pytest
from support.by_hand import forward, mlp_of, output_by_algebra

from dpo_neurons.interventions.direct_effect import predict_reduction
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.planning import plan_random_shift, plan_shift


@pytest.fixture
def neurons():
    """Sixty neurons of three layers, with mean activations before and after."""
    random = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "layer": np.repeat([0, 1, 2], 20),
            "neuron": np.tile(np.arange(20), 3),
            "activation_pre": random.normal(size=60),
            "activation_post": random.normal(size=60),
        }
    )


def test_a_shift_adds_the_change_of_the_mean_by_its_dose(neurons):
    plan = plan_shift(neurons, 0.5)
    assert plan["operation"].eq("add").all()
    expected = (neurons["activation_post"] - neurons["activation_pre"]) / 2
    np.testing.assert_allclose(plan["value"], expected)


def test_the_control_has_the_same_shifts_in_each_layer_on_other_neurons(neurons):
    shift, control = plan_shift(neurons, 2), plan_random_shift(neurons, 2, seed=5)
    assert control[["layer", "neuron", "operation"]].equals(shift[["layer", "neuron", "operation"]])
    for layer in range(3):
        own, others = (plan.loc[plan["layer"] == layer, "value"] for plan in (shift, control))
        np.testing.assert_array_equal(np.sort(np.abs(own)), np.sort(np.abs(others)))
        assert (others * own.abs().max() < 0).any()
        assert (others > 0).any()
    assert not np.allclose(shift["value"].abs(), control["value"].abs())
    assert control.equals(plan_random_shift(neurons, 2, seed=5))
    assert not control.equals(plan_random_shift(neurons, 2, seed=6))


def test_a_shift_is_added_to_what_a_neuron_does_on_each_token(model):
    ids = [[5, 6, 7, 8]]
    before = forward(model, ids)
    width = before["neurons"][0].shape[-1]
    chosen = pd.DataFrame(
        {"layer": 0, "neuron": range(width), "activation_pre": 0.0, "activation_post": 0.25}
    )
    with apply_plan(model, plan_shift(chosen), "all"):
        after = forward(model, ids)
    mlp = mlp_of(model, 0)
    expected = output_by_algebra(mlp, before["neurons"][0] + 0.25)
    np.testing.assert_allclose(after["outputs"][0], expected.detach(), rtol=1e-4, atol=1e-5)


def test_the_predicted_effect_of_a_whole_shift_is_that_of_a_patch(neurons):
    components = np.random.default_rng(6).normal(size=(3, 20))
    before, after = neurons["activation_pre"], neurons["activation_post"]
    expected = ((before - after) * components.reshape(-1)).sum()
    for dose in (1, 0.25):
        predicted = predict_reduction(plan_shift(neurons, dose), neurons, components)
        assert predicted == pytest.approx(dose * expected)
