"""Training a small language model from scratch, for studies without a checkpoint.

Not in the papers, which fine-tune public checkpoints.

Processors round the same sum differently, and training amplifies the difference: after 350 steps,
another last bit in float64 had become another model. Random numbers therefore come from NumPy,
since torch draws other ones on other processors. All arithmetic is float64, and after each step the
weights are rounded to a grid that is coarse beside what processors disagree about. The next step
then starts from the same bits on all of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.running.progress import Progress

WEIGHT_GRID = 2.0**-16
"""Weights are multiples of it. Steps of a learning rate of 1e-3 are a hundred times as large."""
KEY_SPREAD = 3.0
"""Factor on the initial key vectors."""
KEY_BIAS = -1.0
"""Initial bias of the keys. With it, most neurons are silent at first, as in large models."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the fields are keys of `models.….pre` in the configuration."""

    architecture: str
    layers: int
    width: int
    heads: int
    steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    neuron_dropout: float


TRAINABLE_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "llama": {},
    "mistral": {"sliding_window": 24},
    "gemma2": {},
}
"""Hugging Face model types that can be trained, and further settings of their configurations."""


def build_model(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, random: np.random.Generator
) -> PreTrainedModel:
    """Build an untrained model, float64, whose embedding and unembedding are separate matrices.

    Each matrix is drawn from a normal distribution with the standard deviation that the
    architecture's configuration names; norms and biases begin as transformers sets them. The key
    vectors are then scaled by KEY_SPREAD; where they have biases, which gated MLPs lack, these are
    set to KEY_BIAS.
    """
    make_config: Any = CONFIG_MAPPING[recipe.architecture]
    config = make_config(
        vocab_size=len(tokenizer),
        max_position_embeddings=max(128, recipe.sequence_length),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TRAINABLE_ARCHITECTURES[recipe.architecture],
        **_gated_shape(recipe),
    )
    make_model: Any = AutoModelForCausalLM.from_config
    model: PreTrainedModel = make_model(config, dtype=torch.float64)
    projection: Any
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                drawn = random.standard_normal(tuple(weight.shape))
                weight.copy_(torch.from_numpy(drawn * config.initializer_range))
        for projection in Layers.of(model).key_projections:
            projection.weight.mul_(KEY_SPREAD)
            if projection.bias is not None:
                projection.bias.fill_(KEY_BIAS)
    return model


def _gated_shape(recipe: Recipe) -> dict[str, int]:
    """Settings that configurations with gated MLPs have besides those of GPT-2."""
    if recipe.architecture == "gpt2":
        return {}
    shape = {"intermediate_size": 4 * recipe.width, "num_key_value_heads": recipe.heads}
    head = recipe.width // recipe.heads
    return (
        shape
        | {"head_dim": head}
        | ({"query_pre_attn_scalar": head} if recipe.architecture == "gemma2" else {})
    )


def round_weights(model: nn.Module) -> None:
    """Round all weights, in place, to multiples of WEIGHT_GRID."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.div_(WEIGHT_GRID).round_().mul_(WEIGHT_GRID)


def train_language_model(
    model: PreTrainedModel, ids: Tensor, recipe: Recipe, random: np.random.Generator
) -> float:
    """Train on random windows of a token stream; returns the last loss in nats.

    ids: (n_tokens,). For each sequence of a batch, a random share of a layer's neurons, up to
    recipe.neuron_dropout, is held at its mean. No word then depends on a single neuron, and the
    model bears mean ablation as large models do.
    Raises InputError if the stream is no longer than a window, or if training diverges.
    """
    if len(ids) <= recipe.sequence_length:
        raise InputError(
            f"data.training_text: {len(ids)} tokens are no more than one window "
            f"(models.….pre.sequence_length: {recipe.sequence_length}); give more text, or lower it"
        )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )

    def hold_neurons(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        (activations,) = inputs
        n_sequences, _, d_mlp = activations.shape
        share = random.random((n_sequences, 1, 1)) * recipe.neuron_dropout
        held = torch.from_numpy(random.random((n_sequences, 1, d_mlp)) < share)
        return (torch.where(held, activations.mean(dim=(0, 1)), activations),)

    hooks = [
        projection.register_forward_pre_hook(hold_neurons)
        for projection in Layers.of(model).down_projections
    ]
    model.train()
    windows = torch.arange(recipe.sequence_length)
    try:
        for _ in Progress(range(recipe.steps), desc="training", unit="step"):
            starts = random.integers(len(ids) - recipe.sequence_length, size=(recipe.batch_size, 1))
            batch = ids[torch.from_numpy(starts) + windows]
            # Not transformers' own loss, which converts logits to float32.
            logits = model(input_ids=batch).logits[:, :-1]
            loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            round_weights(model)
            schedule.step()
    finally:
        for hook in hooks:
            hook.remove()
    if not loss.isfinite():
        raise InputError(
            f"models.….pre.learning_rate: training diverged at {recipe.learning_rate}; lower it"
        )
    model.train(False)
    last_loss: float = loss.item()
    return last_loss
