"""A sparse autoencoder trained here: its states, a step of its training, and what it learns."""

import numpy as np
import pytest
import torch
from support.by_hand import forward, stack
from support.tiny_models import PROMPTS

from dpo_neurons.activations.autoencoder_training import (
    Recipe,
    explained_variance,
    read_states,
    train_autoencoder,
)
from dpo_neurons.activations.sparse_autoencoders import read_autoencoder, write_top_k
from dpo_neurons.checkpoints.language_model_training import WEIGHT_GRID
from dpo_neurons.errors import InputError

RECIPE = Recipe(features=7, active=2, steps=1, states_per_step=9, learning_rate=0.01)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
@torch.no_grad()
def test_states_are_those_of_all_tokens_but_each_first(loaded, architecture, tokenizer):
    model = loaded(architecture)
    seen = []
    hook = stack(model)[1].register_forward_hook(
        lambda _, inputs, output: seen.append(output if torch.is_tensor(output) else output[0])
    )
    for prompt in sorted(PROMPTS, key=lambda prompt: -len(prompt.split())):
        forward(model, [tokenizer(prompt)["input_ids"]])
    hook.remove()
    expected = torch.cat([states[0, 1:] for states in seen]).double()
    states = read_states(model, tokenizer, PROMPTS, 1, 2)
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-6)


def test_a_step_is_the_one_by_hand():
    states = np.random.default_rng(2).normal(size=(40, 5)) + 1
    trained = train_autoencoder(torch.tensor(states), 3, RECIPE, np.random.default_rng(4))

    random = np.random.default_rng(4)
    decoder = random.standard_normal((7, 5))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    bias = states.mean(axis=0)
    batch = states[random.integers(40, size=9)]
    products = (batch - bias) @ decoder.T
    active = (products >= np.sort(products, axis=1)[:, -2:-1]) & (products > 0)
    features = np.where(active, products, 0)
    error = 2 * (features @ decoder + bias - batch) / batch.size
    by_product = np.where(active, error @ decoder.T, 0)
    gradients = {
        "W_enc": (batch - bias).T @ by_product,
        "W_dec": features.T @ error,
        "b_enc": by_product.sum(axis=0),
        "b_dec": error.sum(axis=0) - (by_product @ decoder).sum(axis=0),
    }
    before = {"W_enc": decoder.T, "W_dec": decoder, "b_enc": np.zeros(7), "b_dec": bias}
    for name, gradient in gradients.items():
        # Adam's first step is as long as the learning rate, wherever there is a gradient.
        after = before[name] - 0.01 * gradient / (np.abs(gradient) + 1e-8)
        if name == "W_dec":
            after /= np.linalg.norm(after, axis=1, keepdims=True)
        after = np.round(after / WEIGHT_GRID) * WEIGHT_GRID
        weights = trained.tensors[name].detach().numpy()
        np.testing.assert_allclose(weights, after, rtol=0, atol=1e-12)


def test_it_finds_the_directions_that_states_are_made_of_and_is_read_back(tmp_path):
    random = np.random.default_rng(6)
    atoms = np.linalg.qr(random.normal(size=(12, 12)))[0][:6]
    sizes = random.uniform(1, 2, size=(3000, 6)) * (random.random((3000, 6)) < 1 / 3)
    states = torch.tensor(sizes @ atoms)
    recipe = Recipe(features=12, active=4, steps=400, states_per_step=128, learning_rate=0.01)
    trained = train_autoencoder(states, 2, recipe, random)
    nearest = np.abs(trained.tensors["W_dec"].detach().numpy() @ atoms.T).max(axis=0)
    assert nearest.min() > 0.9
    assert explained_variance(trained, states) > 0.95
    write_top_k(trained, tmp_path / "sae")
    stored = read_autoencoder(tmp_path / "sae")
    assert (stored.quantity, stored.layer, stored.active) == ("resid_post", 2, 4)
    for name, weights in trained.tensors.items():
        assert torch.equal(stored.tensors[name].double(), weights)


def test_too_few_states_and_divergence_are_told():
    states = torch.randn(8, 5, dtype=torch.float64)
    with pytest.raises(InputError, match=r"8 states are fewer than one step needs .*: 9"):
        train_autoencoder(states, 0, RECIPE, np.random.default_rng(1))
    with pytest.raises(InputError, match=r"learning_rate: training diverged at 0.01; lower it"):
        train_autoencoder(torch.full((9, 5), np.nan), 0, RECIPE, np.random.default_rng(1))
