"""Training a small GPT-2 from scratch, for the embedded study."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase

KEY_SPREAD = 3.0
KEY_BIAS = -1.0
"""Keys start spread out and biased down, so that most neurons are silent, as in large models."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the fields are those of the configuration."""

    layers: int
    width: int
    heads: int
    steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    neuron_dropout: float


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> GPT2LMHeadModel:
    """An untrained GPT-2 with silent neurons and an output embedding of its own."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=max(128, recipe.sequence_length),
            n_embd=recipe.width,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():
        for block in model.transformer.h:
            block.mlp.c_fc.weight.mul_(KEY_SPREAD)
            block.mlp.c_fc.bias.fill_(KEY_BIAS)
    return model


def train_language_model(model: GPT2LMHeadModel, ids: Tensor, recipe: Recipe, seed: int) -> float:
    """Train on random windows of a token stream, (n,); returns the last step's loss in nats.

    For each sequence, a random share of a layer's neurons, up to `neuron_dropout`, is held at its
    mean: no word hangs on a single neuron, as in large models, which bear mean ablation.
    """
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
        block.mlp.c_proj.register_forward_pre_hook(hold_neurons) for block in model.transformer.h
    ]
    model.train()
    windows = torch.arange(recipe.sequence_length)
    try:
        for _ in tqdm(range(recipe.steps), desc="training", unit="step", mininterval=5):
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
    model.eval()
    return float(loss)
