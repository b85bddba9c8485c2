"""Vectors added to the residual stream after a block, on every architecture."""

import copy

import numpy as np
import pytest
import torch
from support.by_hand import forward, hooks_left, same_state, stack, state_of

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.plans import layer_plan
from dpo_neurons.interventions.weight_folding import fold_plan

pytestmark = pytest.mark.every_architecture

IDS = [[5, 9, 14, 22, 7], [30, 8, 8, 17, 3]]
RANDOM = np.random.default_rng(4)
SHIFTS = {name: RANDOM.normal(size=(3, 16)) for name in ("shift", "random")}
WHERE = {"last": slice(-1, None), "all": slice(None), "first": slice(0, 1)}


def streams_of(model):
    """The residual stream after each block, and the logits."""
    seen = []
    hooks = [
        block.register_forward_hook(
            lambda _, x, y: seen.append((y if torch.is_tensor(y) else y[0]).clone())
        )
        for block in stack(model)
    ]
    try:
        return seen, forward(model, IDS)["logits"]
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("positions", WHERE)
@pytest.mark.parametrize(
    ("operation", "vector"), [("add_shift", "shift"), ("add_random", "random")]
)
def test_the_stream_has_the_vector_more_after_the_layer(model, positions, operation, vector):
    (free, logits), state = streams_of(model), state_of(model)
    with apply_plan(model, layer_plan(1, operation, 0.5), positions, shifts=SHIFTS):
        changed, changed_logits = streams_of(model)
    expected = free[1].clone()
    expected[:, WHERE[positions]] += torch.tensor(0.5 * SHIFTS[vector][1], dtype=torch.float32)
    assert torch.equal(changed[0], free[0])
    torch.testing.assert_close(changed[1], expected)
    assert not torch.allclose(changed_logits, logits, atol=1e-3)
    assert hooks_left(model) == 0
    assert same_state(model, state)
    assert torch.equal(forward(model, IDS)["logits"], logits)


def test_a_plan_without_shifts_and_one_to_fold_are_refused(gpt2):
    plan = layer_plan(1, "add_shift", 1.0)
    with (
        pytest.raises(ValueError, match="needs the stream's mean shifts"),
        apply_plan(gpt2, plan, "all"),
    ):
        pass
    with pytest.raises(InputError, match="adds a vector to the residual stream, which no weight"):
        fold_plan(copy.deepcopy(gpt2), plan, None)
