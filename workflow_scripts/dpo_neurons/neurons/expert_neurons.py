"""Neurons as classifiers of labelled texts, as in AurA (Suau et al. 2024, arXiv 2407.12824)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers, view_by_prompt
from dpo_neurons.models.text_reading import read_texts


def score_neurons_as_classifiers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    labels: np.ndarray,
    batch_size: int,
) -> np.ndarray:
    """AUROC of each neuron for labels, (n,) bool: (n_layers, d_mlp).

    A neuron's value on a text is its largest activation at any token.
    Raises InputError if all texts have the same label.
    """
    if labels.all() or not labels.any():
        raise InputError(
            "data.labelled_comments: all comments that are read have one label, so no neuron can "
            "tell them apart; give some of each"
        )
    largest = find_largest_activations(model, tokenizer, texts, batch_size)
    return np.stack([measure_auroc(largest[:, layer], labels) for layer in range(largest.shape[1])])


def find_largest_activations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int,
) -> np.ndarray:
    """Find each neuron's largest activation at any token of each text: (n, n_layers, d_mlp)."""
    layers = Layers.of(model)
    seen: dict[int, torch.Tensor] = {}

    def reader(layer: int) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
        def read(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[layer] = inputs[0]

        return read

    def summarise(mask: torch.Tensor) -> np.ndarray:
        maxima = []
        for layer in range(len(layers.blocks)):
            states = view_by_prompt(seen.pop(layer), len(mask))
            padding = mask[..., None].to(states.device) == 0
            maxima.append(states.masked_fill(padding, -torch.inf).amax(dim=1).float().cpu().numpy())
        return np.stack(maxima, axis=1)

    hooks = [
        projection.register_forward_pre_hook(reader(layer))
        for layer, projection in enumerate(layers.down_projections)
    ]
    try:
        return read_texts(model, tokenizer, texts, batch_size, summarise)
    finally:
        for hook in hooks:
            hook.remove()


def measure_auroc(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each column of values, (n, k), for labels, (n,) bool: (k,).

    The chance that a labelled row has the larger value than another one; ties count one half.
    """
    positives, n = int(labels.sum()), len(labels)
    ranks = rankdata(values, axis=0)
    smaller = ranks[labels].sum(axis=0) - positives * (positives + 1) / 2
    areas: np.ndarray = smaller / (positives * (n - positives))
    return areas
