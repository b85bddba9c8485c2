"""Mean features of a sparse autoencoder while a model reads continuations."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activations.sparse_autoencoders import SparseAutoencoder
from dpo_neurons.activations.stream_hooks import hook_stream
from dpo_neurons.errors import InputError
from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.text_reading import read_rows
from dpo_neurons.models.tokenization import tokenize_texts

READINGS = {"pre": ("pre", "pre"), "post": ("post", "post"), "same_text": ("post", "pre")}
"""Who reads, and whose text: each checkpoint its own, then the second one that of the first."""
DATASETS = tuple(
    f"{part}_{reading}" for reading in READINGS for part in ("features", "states", "tokens")
)
"""Datasets of the file of mean features: (n_prompts, d_sae), (n_prompts, d_model), (n_prompts,)."""


def check_fit(autoencoder: SparseAutoencoder, model: PreTrainedModel, folder: Path) -> None:
    """Check that an autoencoder, read from `folder`, was made for models like this one.

    Raises InputError for another width or a layer that the model lacks.
    """
    layers = Layers.of(model)
    if autoencoder.d_model != layers.d_model or autoencoder.layer >= len(layers.blocks):
        raise InputError(
            f"{folder}: the autoencoder reads states {autoencoder.d_model} wide of layer "
            f"{autoencoder.layer}, but {model.config.name_or_path} has {len(layers.blocks)} layers "
            f"(first = 0) and a stream {layers.d_model} wide; give one made for this model"
        )


def average_features(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    autoencoder: SparseAutoencoder,
    prompts: Sequence[str],
    continuations: h5py.File,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Average features and states over the counted positions of each continuation.

    continuations: an activation cache, whose tokens, mask and positions are taken.
    Returns means of features, (n_prompts, d_sae), and of the states that the autoencoder reads,
    (n_prompts, d_model), float32; zero for a prompt without a counted position.
    Raises InputError for a prompt with a token that the model lacks.
    """
    autoencoder = autoencoder.to(model.device)
    rows, starts = _rows_to_read(tokenizer, prompts, continuations)
    states: list[Tensor] = []

    def store(quantity: str, layer: int, values: Tensor) -> None:
        if (quantity, layer) == (autoencoder.quantity, autoencoder.layer):
            states[:] = [values]

    def summarise(counted: Tensor) -> np.ndarray:
        read = states[0].reshape(*counted.shape, -1).to(counted.device)
        means = torch.zeros(len(counted), autoencoder.d_sae + autoencoder.d_model)
        for row, positions in enumerate(counted.bool()):
            if positions.any():
                of_row = read[row, positions].float()
                both = torch.cat([autoencoder.encode(of_row), of_row], dim=1)
                means[row] = both.mean(dim=0)
        return means.numpy()

    hooks: list[RemovableHandle] = []
    try:
        hooks.extend(hook_stream(Layers.of(model), lambda values: values, store))
        means = read_rows(model, tokenizer, rows, batch_size, summarise, starts)
    finally:
        for hook in hooks:
            hook.remove()
    return means[:, : autoencoder.d_sae], means[:, autoencoder.d_sae :]


def _rows_to_read(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], continuations: h5py.File
) -> tuple[list[list[int]], list[int]]:
    """Return each prompt with its continuation, as token ids, and its first counted position.

    All positions from there to the row's end are counted.
    """
    predicting = read_attributes(continuations)["positions"] == "predicting"
    rows, starts = [], []
    tokens, masks = continuations["tokens"][:], continuations["mask"][:]
    for ids, written, mask in zip(tokenize_texts(tokenizer, prompts), tokens, masks, strict=True):
        row = [*ids, *written[mask].tolist()]
        # The last token is predicted by the position before it, and is not read itself.
        rows.append(row[:-1] if predicting and mask.any() else row)
        starts.append(len(ids) - 1 if predicting and mask.any() else len(ids))
    return rows, starts
