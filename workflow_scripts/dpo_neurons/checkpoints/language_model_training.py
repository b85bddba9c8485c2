"""Training a small language model from scratch, for studies that bring no checkpoint."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.running.progress import Progress

KEY_SPREAD = 3.0
KEY_BIAS = -1.0
"""Keys start spread out and biased down, so that most neurons are silent, as in large models."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the fields are those of the configuration."""

    architecture: str
    layers: int
    width: int
    heads: int
    steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    neuron_dropout: float


TRAINABLE: dict[str, dict[str, Any]] = {
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "llama": {},
    "mistral": {"sliding_window": 24},
    "gemma2": {},
}
"""What can be trained, by Hugging Face model type, and what its configuration says besides."""


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """An untrained model with an output embedding of its own, its neurons mostly silent.

    Gated MLPs have no key biases: theirs are spread out only.
    """
    config = CONFIG_MAPPING[recipe.architecture](
        vocab_size=len(tokenizer),
        max_position_embeddings=max(128, recipe.sequence_length),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TRAINABLE[recipe.architecture],
        **_gated_shape(recipe),
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for projection in Layers.of(model).key_projections:
            projection.weight.mul_(KEY_SPREAD)
            if projection.bias is not None:
                projection.bias.fill_(KEY_BIAS)
    return model


def _gated_shape(recipe: Recipe) -> dict[str, int]:
    if recipe.architecture == "gpt2":
        return {}
    shape = {"intermediate_size": 4 * recipe.width, "num_key_value_heads": recipe.heads}
    head = recipe.width // recipe.heads
    return (
        shape
        | {"head_dim": head}
        | ({"query_pre_attn_scalar": head} if recipe.architecture == "gemma2" else {})
    )


def train_language_model(model: PreTrainedModel, ids: Tensor, recipe: Recipe, seed: int) -> float:
    """Train on random windows of a token stream, (n,); returns the last step's loss in nats.

    For each sequence, a random share of a layer's neurons, up to `neuron_dropout`, is held at its
    mean: no word hangs on a single neuron, as in large models, which bear mean ablation.
    Raises InputError for a stream no longer than a window, and if training diverges.
    """
    if len(ids) <= recipe.sequence_length:
        raise InputError(
            f"data.training_text: {len(ids)} tokens are no more than one window "
            f"(models.….pre.sequence_length: {recipe.sequence_length}); give more text, or lower it"
        )
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )

    def hold_neurons(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        (activations,) = inputs
        n_sequences, _, d_mlp = activations.shape
        share = torch.rand(n_sequences, 1, 1) * recipe.neuron_dropout
        held = torch.rand(n_sequences, 1, d_mlp) < share
        return (torch.where(held, activations.mean(dim=(0, 1)), activations),)

    hooks = [
        projection.register_forward_pre_hook(hold_neurons)
        for projection in Layers.of(model).down_projections
    ]
    model.train()
    windows = torch.arange(recipe.sequence_length)
    try:
        for _ in Progress(range(recipe.steps), desc="training", unit="step"):
            starts = torch.randint(
                len(ids) - recipe.sequence_length, (recipe.batch_size, 1), generator=generator
            )
            batch = ids[starts + windows]
            loss = model(input_ids=batch, labels=batch).loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    finally:
        for hook in hooks:
            hook.remove()
    if not loss.isfinite():
        raise InputError(
            f"models.….pre.learning_rate: training diverged at {recipe.learning_rate}; lower it"
        )
    model.eval()
    return loss.item()
