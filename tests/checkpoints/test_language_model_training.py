"""Training from scratch: every architecture learns, reproducibly, in the shape asked for."""

import numpy as np
import pytest
import torch
from support.by_hand import hooks_left, state_of
from support.tiny_models import WORDS

from dpo_neurons.checkpoints.language_model_training import (
    KEY_BIAS,
    TRAINABLE_ARCHITECTURES,
    Recipe,
    build_model,
    train_language_model,
)
from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers

TOKENIZER = build_tokenizer(WORDS)
IDS = torch.arange(400) % 37 + 3
"""Every token follows from the one before it."""


def recipe(architecture, **changes):
    settings = {
        "layers": 2, "width": 16, "heads": 2, "steps": 40, "batch_size": 8, "sequence_length": 8,
        "learning_rate": 2e-2, "neuron_dropout": 0.3,
    }  # fmt: skip
    return Recipe(architecture=architecture, **(settings | changes))


def trained(architecture, seed=1, **changes):
    settings = recipe(architecture, **changes)
    random = np.random.default_rng(seed)
    model = build_model(settings, TOKENIZER, random)
    return model, train_language_model(model, IDS, settings, random)


def untrained(settings):
    return build_model(settings, TOKENIZER, np.random.default_rng(1))


@pytest.mark.parametrize("architecture", TRAINABLE_ARCHITECTURES)
def test_the_loss_falls_and_the_hooks_are_gone(architecture):
    _, first = trained(architecture, steps=1)
    model, last = trained(architecture, neuron_dropout=0.0)
    assert first == pytest.approx(3.7, abs=0.3)  # that of guessing, the log of 40 words
    assert last < first - 0.7
    assert hooks_left(model) == 0
    assert not model.training


@pytest.mark.parametrize("architecture", TRAINABLE_ARCHITECTURES)
def test_the_shape_is_the_one_asked_for(architecture):
    model = untrained(recipe(architecture, layers=3, width=24))
    layers = Layers.of(model)
    assert model.config.model_type == architecture
    assert (len(layers.blocks), layers.d_model, layers.d_mlp) == (3, 24, 96)
    embedding, unembedding = model.get_input_embeddings(), model.get_output_embeddings()
    assert embedding.weight.shape == unembedding.weight.shape == (len(WORDS), 24)
    assert embedding.weight is not unembedding.weight
    assert (model.config.eos_token_id, model.config.pad_token_id) == (2, 0)
    biases = {p.bias.unique().item() for p in layers.key_projections if p.bias is not None}
    assert biases == ({KEY_BIAS} if architecture == "gpt2" else set())


@pytest.mark.parametrize("architecture", TRAINABLE_ARCHITECTURES)
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(architecture):
    models = [state_of(trained(architecture, seed, steps=3)[0]) for seed in (1, 1, 2)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert any(not torch.equal(models[0][name], models[2][name]) for name in models[0])


def test_matrices_are_drawn_with_the_configurations_spread_and_keys_with_three_times_that():
    model = untrained(recipe("llama", width=64))
    gate, down = (Layers.of(model).key_projections[0], Layers.of(model).down_projections[0])
    spread = model.config.initializer_range
    assert down.weight.dtype == torch.float64
    assert down.weight.std().item() == pytest.approx(spread, rel=0.02)
    assert gate.weight.std().item() == pytest.approx(3 * spread, rel=0.02)
    first = np.random.default_rng(1).standard_normal((len(WORDS), 64)) * spread
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), first)


def test_gpt2_keeps_its_dropout_at_zero():
    config = untrained(recipe("gpt2")).config
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0


def test_neurons_held_at_their_mean_carry_no_token():
    settings = recipe("llama", steps=1, neuron_dropout=1.0, batch_size=64)
    model = untrained(settings)
    seen = []
    down = Layers.of(model).down_projections[0]
    handle = down.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    train_language_model(model, IDS, settings, np.random.default_rng(1))
    handle.remove()
    held = (seen[0] == seen[0][:, :1]).all(dim=1)  # (sequences, neurons)
    assert 0.3 < held.float().mean() < 0.7  # a share between 0 and 1 for each sequence
    shares = held.float().mean(dim=1)
    assert shares.min() < 0.2
    assert shares.max() > 0.8


@pytest.mark.parametrize("length", [0, 3, 8])
def test_text_no_longer_than_a_window_is_refused(length):
    settings, random = recipe("gpt2", steps=1), np.random.default_rng(1)
    with pytest.raises(InputError, match=f"training_text: {length} tokens .*sequence_length: 8"):
        train_language_model(untrained(settings), IDS[:length], settings, random)
    train_language_model(untrained(settings), IDS[:9], settings, random)


def test_divergence_raises_an_input_error():
    with pytest.raises(InputError, match="learning_rate: training diverged"):
        trained("llama", learning_rate=1e30, steps=5)
