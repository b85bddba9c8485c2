"""Sparse autoencoders in sae-lens's format: features by the papers' formulas, and refusals."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from support.saved_autoencoders import save_autoencoder

from dpo_neurons.activations.sparse_autoencoders import read_autoencoder
from dpo_neurons.errors import InputError

STATES = np.random.default_rng(8).normal(size=(6, 5)).astype(np.float32)
RELU = {"architecture": "standard"}


def relu(values):
    """What is above zero."""
    return np.where(values > 0, values, 0)


def standard(weights, states):
    """Features by ReLU."""
    return relu(states @ weights["W_enc"] + weights["b_enc"])


def jumprelu(weights, states):
    """Features where they exceed their threshold."""
    features = standard(weights, states)
    return np.where(features > weights["threshold"], features, 0)


def gated(weights, states):
    """Magnitudes where the gate is open."""
    products = states @ weights["W_enc"]
    magnitude = relu(products * np.exp(weights["r_mag"]) + weights["b_mag"])
    return np.where(products + weights["b_gate"] > 0, magnitude, 0)


def top_2(weights, states):
    """The two largest features of each state."""
    features = standard(weights, states)
    second = np.sort(states @ weights["W_enc"] + weights["b_enc"], axis=1)[:, -2:-1]
    return np.where(features >= second, features, 0)


def less_bias(weights, states):
    """ReLU of states without b_dec."""
    return standard(weights, states - weights["b_dec"])


def less_mean(weights, states):
    """ReLU of centred states."""
    return standard(weights, states - states.mean(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("config", "tensors", "by_hand"),
    [
        (RELU, (), standard),
        ({"architecture": "jumprelu"}, ("threshold",), jumprelu),
        ({"architecture": "gated"}, ("b_gate", "r_mag", "b_mag"), gated),
        ({"architecture": "topk", "k": 2}, (), top_2),
        ({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2}}, (), top_2),
        ({**RELU, "apply_b_dec_to_input": True}, (), less_bias),
        ({**RELU, "model_from_pretrained_kwargs": {"center_writing_weights": True}}, (), less_mean),
    ],
    ids=["standard", "jumprelu", "gated", "topk", "topk before 6", "b_dec", "centred"],
)
def test_features_follow_the_formula(tmp_path, config, tensors, by_hand):
    weights = save_autoencoder(tmp_path / "sae", 5, 9, tensors, **config)
    features = read_autoencoder(tmp_path / "sae").encode(torch.tensor(STATES)).numpy()
    np.testing.assert_allclose(features, by_hand(weights, STATES), rtol=1e-5, atol=1e-6)
    assert 0 < (features > 0).mean() < 1


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ({"metadata": {"hook_name": "blocks.3.hook_resid_post"}}, ("resid_post", 3)),
        ({"hook_name": "blocks.3.hook_resid_pre"}, ("resid_post", 2)),
        ({"hook_point": "blocks.0.hook_resid_pre"}, ("resid_pre", 0)),
        ({"hook_name": "blocks.2.hook_mlp_out"}, ("mlp_written", 2)),
    ],
)
def test_hooks_have_our_names(tmp_path, hook, place):
    save_autoencoder(tmp_path / "sae", 5, 9, **{"metadata": None, **hook})
    autoencoder = read_autoencoder(tmp_path / "sae")
    assert (autoencoder.quantity, autoencoder.layer) == place


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "transcoder"}, "architecture is 'transcoder', but only standard, "),
        ({"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm', but"),
        (
            {"metadata": {"hook_name": "blocks.1.attn.hook_z"}},
            "hook_name is 'blocks.1.attn.hook_z'",
        ),
        ({"metadata": None}, "hook_name is None, but only blocks"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor is True, but"),
        ({"activation_fn": "tanh-relu"}, "activation_fn is 'tanh-relu', but only relu and topk"),
        ({"architecture": "topk"}, "k is None, but topk needs a whole number"),
        ({"architecture": "topk", "k": 10}, "k is 10, but there are 9 features"),
        ({"architecture": ["standard"]}, "architecture is .*, but only standard, "),
        ({"metadata": [1]}, r"metadata is \[1\], but only an object can be read"),
        ({"architecture": "jumprelu"}, "lacks threshold, which an autoencoder of"),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path, config, message):
    save_autoencoder(tmp_path / "sae", 5, 9, **config)
    with pytest.raises(InputError, match=message):
        read_autoencoder(tmp_path / "sae")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("W_enc", lambda values: values.T, r"W_enc is \(9, 5\), which does not fit W_dec"),
        ("b_enc", lambda values: values * np.nan, "b_enc holds NaN or infinite"),
        ("W_dec", lambda values: values[0], "does not fit W_dec"),
    ],
)
def test_damaged_tensors_are_named(tmp_path, name, change, message):
    save_autoencoder(tmp_path / "sae", 5, 9)
    file = tmp_path / "sae/sae_weights.safetensors"
    weights = load_file(file)
    save_file(weights | {name: np.ascontiguousarray(change(weights[name]))}, file)
    with pytest.raises(InputError, match=message):
        read_autoencoder(tmp_path / "sae")


def test_damaged_files_are_one_sentence(tmp_path):
    save_autoencoder(tmp_path / "sae", 5, 9)
    (tmp_path / "sae/sae_weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"sae_weights\.safetensors: cannot be read"):
        read_autoencoder(tmp_path / "sae")
    (tmp_path / "sae/cfg.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match=r"cfg\.json: holds a JSON list"):
        read_autoencoder(tmp_path / "sae")
