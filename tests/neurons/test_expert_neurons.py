"""Neurons as classifiers of texts, compared with texts read alone and pairs counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.by_hand import forward
from support.tiny_models import PROMPTS

from dpo_neurons.errors import InputError
from dpo_neurons.neurons.expert_neurons import (
    find_largest_activations,
    measure_auroc,
    score_neurons_as_classifiers,
)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_largest_activation_is_that_of_each_text_alone(model, tokenizer, batch_size):
    largest = find_largest_activations(model, tokenizer, PROMPTS, batch_size)
    for row, prompt in enumerate(PROMPTS):
        for layer, states in enumerate(forward(model, [tokenizer(prompt)["input_ids"]])["neurons"]):
            np.testing.assert_allclose(largest[row, layer], states[0].amax(dim=0), atol=2e-5)


def test_auroc_is_the_share_of_pairs_in_order():
    values = np.array([[0.1, 2.0], [0.4, 2.0], [0.35, 2.0], [0.8, 2.0]])
    labels = np.array([False, False, True, True])
    # Of the four pairs (positive, negative), three are in order; equal values count half.
    assert measure_auroc(values, labels).tolist() == [0.75, 0.5]


def test_auroc_is_that_of_a_library(model, tokenizer):
    labels = np.arange(len(PROMPTS)) % 2 == 0
    auroc = score_neurons_as_classifiers(model, tokenizer, PROMPTS, labels, 4)
    largest = find_largest_activations(model, tokenizer, PROMPTS, 4)
    for layer in range(auroc.shape[0]):
        for neuron in (0, 3):
            expected = roc_auc_score(labels, largest[:, layer, neuron])
            assert auroc[layer, neuron] == pytest.approx(expected)


def test_comments_of_one_label_tell_nothing(gpt2, tokenizer):
    with pytest.raises(InputError, match="all comments that are read have one label"):
        score_neurons_as_classifiers(gpt2, tokenizer, ["w1", "w2"], np.array([True, True]), 2)
