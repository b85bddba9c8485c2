"""The engine: the effect of a plan, and that the model is unchanged afterwards."""

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.by_hand import (
    forward,
    hooks_left,
    mlp_of,
    neurons_by_algebra,
    output_by_algebra,
    same_state,
    state_of,
)

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.models.architectures import Layers

pytestmark = pytest.mark.every_architecture

IDS = [[5, 9, 14, 22, 7], [30, 8, 8, 17, 3]]
WHERE = {"last": slice(-1, None), "all": slice(None), "first": slice(0, 1)}
OPERATIONS = {
    "set": lambda m, value: torch.full_like(m, value),
    "scale": lambda m, value: m * value,
    "add": lambda m, value: m + value,
}


def plan_of(*rows: tuple[int, int, str, float]) -> pd.DataFrame:
    plan = pd.DataFrame(rows, columns=["layer", "neuron", "operation", "value"])
    return plan.astype({"layer": int, "neuron": int, "value": float})


EVERY_OPERATION = plan_of(
    (0, 3, "set", 0.7), (0, 11, "scale", -2.5), (1, 0, "add", 1.3), (1, 20, "set", 0.0),
    (0, 3, "scale_key", 4.0), (1, 7, "scale_key", -3.0),
)  # fmt: skip


@pytest.mark.parametrize("positions", WHERE)
def test_operations_do_what_matrix_algebra_says(model, positions):
    plan = plan_of((0, 3, "set", 0.7), (0, 11, "scale", -2.5), (1, 0, "add", 1.3), (1, 4, "set", 0))
    with apply_plan(model, plan, positions):
        seen = forward(model, IDS)
    for layer, states in enumerate(seen["inputs"]):
        expected = neurons_by_algebra(mlp_of(model, layer), states)
        for row in plan[plan["layer"] == layer].itertuples():
            m = expected[:, WHERE[positions], row.neuron]
            expected[:, WHERE[positions], row.neuron] = OPERATIONS[row.operation](m, row.value)
        torch.testing.assert_close(seen["neurons"][layer], expected)
        torch.testing.assert_close(
            seen["outputs"][layer],
            output_by_algebra(mlp_of(model, layer), expected),
            atol=1e-5,
            rtol=1e-4,
        )


def test_keys_are_scaled_at_every_position(model):
    states = forward(model, IDS)["inputs"][0]
    mlp = mlp_of(model, 0)
    unscaled = neurons_by_algebra(mlp, states)
    # One that is open somewhere: ReLU closes some.
    neuron = int((unscaled[..., :9] != 0).any(dim=(0, 1)).nonzero()[0])
    plan = plan_of((0, neuron, "scale_key", 3.0), (0, 9, "scale_key", 0.0))
    with apply_plan(model, plan, "last"):
        seen = forward(model, IDS)["neurons"][0]
    mlp.keys[neuron], mlp.keys[9] = mlp.keys[neuron] * 3, 0
    torch.testing.assert_close(seen, neurons_by_algebra(mlp, states))
    opened = unscaled[..., neuron] != 0
    assert not torch.isclose(seen[..., neuron], unscaled[..., neuron])[opened].any()


@pytest.mark.parametrize("positions", WHERE)
def test_neurons_and_positions_outside_the_plan_are_unchanged_bit_for_bit(model, positions):
    before = forward(model, IDS)["neurons"][0]
    with apply_plan(model, EVERY_OPERATION[EVERY_OPERATION["layer"] == 0], positions):
        after = forward(model, IDS)["neurons"][0]
    outside = torch.ones_like(before, dtype=torch.bool)
    outside[:, WHERE[positions], [3]] = False
    outside[:, WHERE[positions], [11]] = False
    outside[..., 3] = False  # its key is scaled everywhere
    assert torch.equal(after[outside], before[outside])
    scaled, unscaled = (one[:, WHERE[positions], 11] for one in (after, before))
    opened = unscaled != 0  # ReLU closes some
    assert opened.any()
    assert (scaled != unscaled)[opened].all()


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_bit_identical_after_the_block(model, fails):
    state, hooks, logits = state_of(model), hooks_left(model), forward(model, IDS)["logits"]
    try:
        with apply_plan(model, EVERY_OPERATION, "all"):
            assert hooks_left(model) > hooks
            assert not torch.equal(forward(model, IDS)["logits"], logits)
            if fails:
                raise RuntimeError("in the block")
    except RuntimeError as error:
        assert str(error) == "in the block"  # noqa: PT017
    assert same_state(model, state)
    assert hooks_left(model) == hooks == 0
    assert torch.equal(forward(model, IDS)["logits"], logits)


def test_keys_scaled_twice_do_not_compound(model):
    plan = plan_of((0, 5, "scale_key", 10.0), (1, 2, "scale_key", 10.0))
    logits = []
    for _ in range(2):
        with apply_plan(model, plan, "all"):
            logits.append(forward(model, IDS)["logits"])
    assert torch.equal(*logits)


def test_nested_plans_both_act_and_both_go(gpt2):
    state = state_of(gpt2)
    doubled = plan_of((0, 5, "scale_key", 2.0))
    with apply_plan(gpt2, doubled, "all"), apply_plan(gpt2, doubled, "all"):
        nested = forward(gpt2, IDS)["neurons"][0]
    with apply_plan(gpt2, plan_of((0, 5, "scale_key", 4.0)), "all"):
        at_once = forward(gpt2, IDS)["neurons"][0]
    torch.testing.assert_close(nested, at_once)
    assert same_state(gpt2, state)


def test_a_step_with_cache_is_patched_at_its_only_position(gpt2):
    with torch.no_grad():
        cache = gpt2(input_ids=torch.tensor(IDS)[:, :-1], use_cache=True).past_key_values
        with apply_plan(gpt2, plan_of((0, 3, "add", 2.0)), "last"):
            step = gpt2(input_ids=torch.tensor(IDS)[:, -1:], past_key_values=cache).logits[:, -1]
            whole = gpt2(input_ids=torch.tensor(IDS)).logits[:, -1]
    torch.testing.assert_close(step, whole, atol=1e-5, rtol=1e-4)


def test_setting_replaces_whatever_the_activation_was(gpt2):
    def overflow(module, inputs):
        inputs[0][:, 0, 3] = float("inf")

    hook = Layers.of(gpt2).down_projections[0].register_forward_pre_hook(overflow)
    try:
        with apply_plan(gpt2, plan_of((0, 3, "set", 0.5)), "all"):
            seen = forward(gpt2, IDS)["neurons"][0]
    finally:
        hook.remove()
    assert (seen[..., 3] == 0.5).all()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((7, 0, "set", 0.0), "layer 7, neuron 0 is outside the model's"),
        ((0, 40, "set", 0.0), "neuron 40 is outside"),
        ((0, -1, "scale_key", 0.0), "neuron -1 is outside"),
        ((0, 0, "seet", 0.0), "operation 'seet' is unknown; use one of"),
    ],
)
def test_a_plan_for_another_model_is_refused_and_leaves_no_trace(model, row, words):
    state = state_of(model)
    with (
        pytest.raises(InputError, match=words),
        apply_plan(model, plan_of((0, 1, "scale_key", 3), row), "all"),
    ):
        pass
    assert hooks_left(model) == 0
    assert same_state(model, state)


def test_unknown_positions_are_an_error(gpt2):
    with (
        pytest.raises(ValueError, match="positions must be one of"),
        apply_plan(gpt2, plan_of(), "x"),
    ):
        pass


def target_of(row: tuple[int, int, str, float]) -> tuple[int, int, bool]:
    return row[0], row[1], row[2] == "scale_key"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), positions=st.sampled_from(list(WHERE)))
def test_any_valid_plan_leaves_the_model_bit_identical(model, data, positions):
    layers = Layers.of(model)
    neuron = st.tuples(
        st.integers(0, len(layers.blocks) - 1),
        st.integers(0, layers.d_mlp - 1),
        st.sampled_from(["set", "scale", "add", "scale_key"]),
        st.floats(-1e6, 1e6, width=32),
    )
    rows = data.draw(st.lists(neuron, max_size=12, unique_by=target_of))
    state, logits = state_of(model), forward(model, IDS)["logits"]
    with apply_plan(model, plan_of(*rows), positions):
        forward(model, IDS)
    assert same_state(model, state)
    assert hooks_left(model) == 0
    assert torch.equal(forward(model, IDS)["logits"], logits)
