"""Training a small sparse autoencoder, for models for which nobody has published one.

Not in the papers. The autoencoder keeps the k largest features of each state (TopK), so that no
weight of a sparsity penalty has to be chosen. As in training from scratch, numbers are drawn by
NumPy, sums are float64, and weights are rounded to a grid after each step: every processor then
trains the same autoencoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activations.sparse_autoencoders import SparseAutoencoder
from dpo_neurons.checkpoints.language_model_training import round_weights
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.text_reading import read_texts
from dpo_neurons.running.progress import Progress


@dataclass(frozen=True)
class Recipe:
    """How to train; the fields are keys of an autoencoder in the configuration."""

    features: int
    active: int
    steps: int
    states_per_step: int
    learning_rate: float


def read_states(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    layer: int,
    batch_size: int,
) -> Tensor:
    """Read the residual stream after a block at the tokens of texts: (n_tokens, d_model) float64.

    The first token of each text is left out: nothing precedes it, and in many models its state is
    far longer than all others.
    Raises InputError for a text with a token that the model lacks.
    """
    of_batch: list[Tensor] = []
    states: list[Tensor] = []

    def read_output(
        module: nn.Module,
        inputs: object,
        output: Any,  # noqa: ANN401
    ) -> None:
        of_batch[:] = [output[0] if isinstance(output, tuple) else output]

    def store(counted: Tensor) -> np.ndarray:
        states.append(of_batch.pop()[counted.bool()].double().cpu())
        return counted.sum(dim=1).cpu().numpy()

    hook = Layers.of(model).blocks[layer].register_forward_hook(read_output)
    try:
        read_texts(model, tokenizer, texts, batch_size, store, starts=[1] * len(texts))
    finally:
        hook.remove()
    return torch.cat(states)


def train_autoencoder(
    states: Tensor, layer: int, recipe: Recipe, random: np.random.Generator
) -> SparseAutoencoder:
    """Train a TopK autoencoder of resid_post on states, (n, d_model) float64; its tensors are
    float64.

    Gao et al. 2024 (arXiv 2406.04093), section 2.3, without its auxiliary loss: it minimises the
    squared error of the `active` largest features. The decoder's rows begin in random directions
    and have length 1 after each step; the encoder begins as the decoder, b_dec as the mean state.
    Raises InputError for fewer states than a step needs, and if training diverges.
    """
    if len(states) < recipe.states_per_step:
        raise InputError(
            f"data.training_text: {len(states)} states are fewer than one step needs "
            f"(models.….autoencoders.….states_per_step: {recipe.states_per_step}); give more text, "
            "or lower it"
        )
    drawn = torch.from_numpy(random.standard_normal((recipe.features, states.shape[1])))
    decoder = functional.normalize(drawn, dim=1)
    weights = nn.ParameterDict(
        {
            "W_enc": decoder.T.clone(),
            "W_dec": decoder,
            "b_enc": torch.zeros(recipe.features, dtype=torch.float64),
            "b_dec": states.mean(dim=0),
        }
    )
    autoencoder = SparseAutoencoder(
        "topk", "resid_post", layer, dict(weights.items()),
        subtracts_bias=True, centres=False, active=recipe.active,
    )  # fmt: skip
    optimizer = torch.optim.Adam(weights.parameters(), lr=recipe.learning_rate)
    for _ in Progress(range(recipe.steps), desc="training", unit="step"):
        chosen = random.integers(len(states), size=recipe.states_per_step)
        batch = states[torch.from_numpy(chosen)]
        loss = functional.mse_loss(reconstruct(autoencoder, batch), batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            weights["W_dec"].copy_(functional.normalize(weights["W_dec"], dim=1))
        round_weights(weights)
    if not loss.isfinite():
        raise InputError(
            "models.….autoencoders.….learning_rate: training diverged at "
            f"{recipe.learning_rate}; lower it"
        )
    return autoencoder


def reconstruct(autoencoder: SparseAutoencoder, states: Tensor) -> Tensor:
    """Encode states, (n, d_model), and decode their features: (n, d_model)."""
    weights = autoencoder.tensors
    return autoencoder.encode(states) @ weights["W_dec"] + weights["b_dec"]


def explained_variance(autoencoder: SparseAutoencoder, states: Tensor) -> float:
    """Share of the states' variance, (n, d_model), that an autoencoder reconstructs, at most 1."""
    with torch.no_grad():
        left_out = ((states - reconstruct(autoencoder, states)) ** 2).sum()
        return float(1 - left_out / ((states - states.mean(dim=0)) ** 2).sum())
