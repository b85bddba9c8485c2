"""Tiny random models of every architecture, and the words and prompts that they read."""

import torch
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel

from dpo_neurons.study.synthetic_language import DOCUMENT_END, PADDING, UNKNOWN

WORDS = [PADDING, UNKNOWN, DOCUMENT_END, *(f"w{number}" for number in range(37))]
PROMPTS = ["w1 w5", "w9", "w3 w8 w20 w31 w2 w7", "w30 w11 w4", "w6 w6 w12 w13"]
"""Of different lengths, so that batches of them need padding."""

COMMON = {"vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 2}
GATED = {
    **COMMON,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
    "tie_word_embeddings": False,
}


SPECIAL = {
    "gpt2": {"n_positions": 48, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_inner": 40},
    "gemma2": {"head_dim": 4, "query_pre_attn_scalar": 4, "sliding_window": 32},
    "gemma": {"head_dim": 4},
    "gemma3_text": {"head_dim": 4, "query_pre_attn_scalar": 4, "sliding_window": 32},
    "mistral": {"sliding_window": None},
    "qwen3": {"head_dim": 4},
    "opt": {"ffn_dim": 24, "word_embed_proj_dim": 16},
}
"""What an architecture's configuration says besides GATED; GPT-2 has other names for all of it."""


def small_config(architecture: str) -> PretrainedConfig:
    """A configuration of two or three layers, 16 wide."""
    shape = COMMON if architecture == "gpt2" else GATED
    return CONFIG_MAPPING[architecture](**{**shape, **SPECIAL.get(architecture, {})})


def randomise(model: PreTrainedModel, spread: float) -> None:
    """Add noise to every parameter, biases and norms included."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            size = 0.1 if "norm" in name or "ln_" in name else spread
            parameter.add_(torch.randn_like(parameter) * size)
