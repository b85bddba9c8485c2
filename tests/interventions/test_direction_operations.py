"""Steering and stripping, compared with matrix algebra on the model's own weights."""

import gc

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward, hooks_left, mlp_of, same_state, state_of

from dpo_neurons.directions.direction_files import orthonormal_rows, scale_to_unit_rows
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.plans import layer_plan
from dpo_neurons.models.architectures import Layers

IDS = [[5, 6, 7, 8, 30], [9, 10, 11, 12, 13]]
DIRECTION = scale_to_unit_rows(np.random.default_rng(3).normal(size=(2, 16)))
WHERE = {"last": [-1], "first": [0], "all": range(5)}


def plan_of(*rows):
    return pd.DataFrame(rows, columns=["layer", "neuron", "operation", "value"])


@pytest.mark.parametrize("positions", WHERE)
def test_the_direction_is_subtracted_from_what_one_layer_writes(model, positions):
    free = forward(model, IDS)
    with apply_plan(model, layer_plan(1, "subtract_direction", 2.5), positions, DIRECTION):
        changed, hooks = forward(model, IDS), hooks_left(model)
    # The MLP of that layer reads what it read before.
    written = free["written"][1].clone()
    for position in WHERE[positions]:
        written[:, position] -= 2.5 * torch.tensor(DIRECTION[0], dtype=torch.float32)
    torch.testing.assert_close(changed["written"][1], written, atol=1e-5, rtol=1e-4)
    assert hooks > hooks_left(model) == 0
    torch.testing.assert_close(changed["outputs"][0], free["outputs"][0])
    assert not torch.allclose(changed["logits"], free["logits"], atol=1e-3)


@pytest.mark.every_architecture
def test_after_stripping_the_stream_gets_nothing_along_the_subspace(model):
    layers = Layers.of(model)
    neurons = [(n, i) for n in range(len(layers.blocks)) for i in range(layers.d_mlp)]
    free = forward(model, IDS)
    with apply_plan(model, plan_of(*((*n, "remove_direction", 1.0) for n in neurons)), "all",
                    DIRECTION):  # fmt: skip
        stripped = forward(model, IDS)
    rows = torch.tensor(DIRECTION)
    for layer in range(len(layers.blocks)):
        bias = mlp_of(model, layer).value_bias  # no neuron writes it
        before, after = (
            ((run["written"][layer] - (0 if bias is None else bias)).double() @ rows.T).abs().max()
            for run in (free, stripped)
        )
        assert after < 1e-5 * before


@pytest.mark.parametrize("share", [1.0, 0.5, -1.0])
def test_value_vectors_lose_what_they_write_along_the_subspace(model, share):
    gain = Layers.of(model).gain(0)
    rows_lost = DIRECTION if gain is None else DIRECTION * gain.numpy()
    basis = np.linalg.qr(rows_lost.T)[0].T
    before = mlp_of(model, 0).values.double().numpy().copy()
    plan = plan_of(*((0, neuron, "remove_direction", share) for neuron in (1, 4, 9)))
    state, logits = state_of(model), forward(model, IDS)["logits"]
    with apply_plan(model, plan, "all", DIRECTION):
        after = Layers.of(model).value_vectors(0).double().numpy().copy()
        stripped = forward(model, IDS)
    expected = before.copy()
    for neuron in (1, 4, 9):
        for row in basis:
            expected[neuron] -= share * (before[neuron] @ row) * row
    np.testing.assert_allclose(after, expected, atol=1e-6)
    if share == 1:
        assert np.abs(after[[1, 4, 9]] @ rows_lost.T).max() < 1e-5
    assert not torch.equal(stripped["logits"], logits)
    assert same_state(model, state)
    assert torch.equal(forward(model, IDS)["logits"], logits)


def test_stripping_is_undone_when_the_block_fails(gpt2):
    state = state_of(gpt2)
    with (
        pytest.raises(KeyError),
        apply_plan(gpt2, plan_of((0, 3, "remove_direction", 1.0)), "all", DIRECTION),
    ):
        raise KeyError
    assert same_state(gpt2, state)


def test_stripping_in_bfloat16_rounds_once(checkpoints):
    from dpo_neurons.models.loading import load_model

    model = load_model(checkpoints["llama", "pre"], "bfloat16", "cpu")
    values = Layers.of(model).value_vectors(0)
    wide = values[3].double().numpy()
    basis = orthonormal_rows(DIRECTION)
    with apply_plan(model, plan_of((0, 3, "remove_direction", 1.0)), "all", DIRECTION):
        found = values[3].clone()
    exact = wide - (wide @ basis.T) @ basis
    assert torch.equal(found, torch.tensor(exact).to(torch.bfloat16))


def test_stripping_keeps_no_more_than_the_weights_that_were_there(gpt2):
    def wide_tensors():
        gc.collect()
        tensors = (one for one in gc.get_objects() if isinstance(one, torch.Tensor))
        return sum(one.numel() for one in tensors if one.dtype == torch.float64)

    before = wide_tensors()
    plan = plan_of(*((layer, n, "remove_direction", 1.0) for layer in (0, 1) for n in range(40)))
    with apply_plan(gpt2, plan, "all", DIRECTION):
        assert wide_tensors() - before < Layers.of(gpt2).value_vectors(0).numel()


def test_orthonormal_rows_span_the_same_and_keep_the_first():
    basis = orthonormal_rows(DIRECTION)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(basis[0], DIRECTION[0], atol=1e-12)
    coefficients = DIRECTION @ basis.T
    np.testing.assert_allclose(coefficients @ basis, DIRECTION, atol=1e-12)
    assert coefficients[1, 1] > 0


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (layer_plan(9, "subtract_direction", 1.0), "layer 9, neuron -1 is outside"),
        (plan_of((0, -1, "set", 1.0)), "neuron -1 is outside"),
        (plan_of((0, 4, "subtract_direction", 1.0)), "neuron 4 is outside"),
        (
            plan_of((0, 4, "remove_direction", 1.0), (0, 4, "remove_direction", 0.5)),
            "two operations",
        ),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(gpt2, plan, words):
    with pytest.raises(InputError, match=words), apply_plan(gpt2, plan, "all", DIRECTION):
        pass


def test_one_neuron_may_be_set_and_stripped_and_its_key_scaled(gpt2):
    plan = plan_of(
        (0, 4, "set", 1.0), (0, 4, "remove_direction", 1.0), (0, 4, "scale_key", 2.0)
    )  # fmt: skip
    with apply_plan(gpt2, plan, "all", DIRECTION):
        assert (forward(gpt2, IDS)["neurons"][0][..., 4] == 1).all()


def test_a_plan_that_needs_a_direction_or_a_second_model_says_so(gpt2):
    with (
        pytest.raises(ValueError, match="needs a direction"),
        apply_plan(gpt2, layer_plan(0, "subtract_direction", 1.0), "all"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="source model"),
        apply_plan(gpt2, plan_of((0, 1, "set_token", 0.0)), "all"),
    ):
        pass
