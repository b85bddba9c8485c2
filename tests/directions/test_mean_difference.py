"""Differences of mean states, by hand, and the states that they are made of."""

import numpy as np
import pytest
from support.by_hand import streams_alone
from support.tiny_models import PROMPTS

from dpo_neurons.directions.mean_difference import find_mean_difference
from dpo_neurons.directions.text_states import list_layers, read_resid_post
from dpo_neurons.errors import InputError


@pytest.mark.parametrize("position", ["mean", "last"])
def test_states_of_any_layer_are_those_of_each_text_alone(model, tokenizer, position):
    layers = [1, 0]
    states = read_resid_post(model, tokenizer, PROMPTS, 2, layers, position)
    for prompt, state in zip(PROMPTS, states, strict=True):
        alone = streams_alone(model, tokenizer, prompt)[layers]
        expected = alone.mean(axis=1) if position == "mean" else alone[:, -1]
        np.testing.assert_allclose(state, expected, atol=1e-5)


def test_the_vector_is_a_mean_minus_the_other():
    states = np.array([[3.0, 1], [0, 5], [5, 1], [2, 5], [4, 1], [1, 5]])[:, None]
    labels = np.array([True, False] * 3)
    found = find_mean_difference(states, labels, [7], "toxic")
    np.testing.assert_allclose(found.vector, [4 - 1, 1 - 5])
    assert (found.layer, found.auroc) == (7, 1.0)


def test_the_best_layer_tells_held_out_texts_apart():
    random = np.random.default_rng(2)
    labels = np.arange(200) % 2 == 0
    states = random.normal(size=(200, 3, 5))
    states[labels, 1] += 0.8
    found = find_mean_difference(states, labels, [4, 5, 6], "toxic")
    assert found.layer == 5
    assert found.auroc > 0.8
    noise = find_mean_difference(states[:, [0]], labels, [4], "toxic")
    assert 0.35 < noise.auroc < 0.65


def test_too_few_of_a_label_are_told():
    with pytest.raises(InputError, match="1 rude and 3 other comments are too few"):
        find_mean_difference(np.ones((4, 1, 2)), np.array([True, *[False] * 3]), [0], "rude")


def test_two_kinds_of_texts_with_one_mean_are_told():
    with pytest.raises(InputError, match="have the same mean state after layer 7, so there is no"):
        find_mean_difference(np.ones((6, 1, 2)), np.array([True, False] * 3), [7], "rude")


@pytest.mark.parametrize(
    ("layer", "layers"), [("last", [5]), ("0", [0]), ("best", [0, 1, 2, 3, 4, 5])]
)
def test_layers_are_named_or_chosen(layer, layers):
    assert list_layers(layer, 6) == layers


def test_a_layer_that_the_model_has_not_is_named():
    with pytest.raises(InputError, match="6, but the model has layers 0 to 5; give one"):
        list_layers("6", 6)
