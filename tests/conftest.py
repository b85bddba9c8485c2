"""Fixtures: tiny random models of every family, before and after a made-up fine-tuning."""

from pathlib import Path

import pytest
import torch
from build_tokenizer import build_tokenizer
from hypothesis import HealthCheck, settings
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from dpo_neurons.checkpoints import load_model, load_tokenizer
from dpo_neurons.families import FAMILIES
from dpo_neurons.synthetic_language import DOCUMENT_END, PADDING, UNKNOWN

# On a busy machine, slow is not wrong.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

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
"""What a family's configuration says besides GATED; GPT-2 has other names for all of it."""


def small_config(family: str) -> PretrainedConfig:
    """A configuration of two or three layers, 16 wide."""
    shape = COMMON if family == "gpt2" else GATED
    return CONFIG_MAPPING[family](**{**shape, **SPECIAL.get(family, {})})


def randomise(model: PreTrainedModel, spread: float) -> None:
    """Add noise to every parameter, biases and norms included."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            size = 0.1 if "norm" in name or "ln_" in name else spread
            parameter.add_(torch.randn_like(parameter) * size)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Directory of each (family, stage); stage "other" is a third, unrelated checkpoint."""
    found = {}
    for number, family in enumerate(FAMILIES):
        set_seed(100 + number)
        model = AutoModelForCausalLM.from_config(small_config(family), dtype=torch.float32)
        randomise(model, 0.3)
        for stage, spread in (("pre", 0.0), ("post", 0.05), ("other", 0.3)):
            randomise(model, spread)
            path = tmp_path_factory.mktemp(f"{family}_{stage}")
            model.save_pretrained(path)
            build_tokenizer(WORDS).save_pretrained(path)
            found[family, stage] = path
    return found


@pytest.fixture(scope="session", params=list(FAMILIES))
def family(request) -> str:
    """Each family in turn."""
    return request.param


@pytest.fixture(scope="session")
def loaded(checkpoints):
    """Load a model once: loaded(family, stage)."""
    cache: dict[tuple[str, str], PreTrainedModel] = {}

    def load(family: str, stage: str = "pre") -> PreTrainedModel:
        if (family, stage) not in cache:
            cache[family, stage] = load_model(checkpoints[family, stage], "float32", "cpu")
        return cache[family, stage]

    return load


@pytest.fixture
def model(loaded, family) -> PreTrainedModel:
    """The first checkpoint of each family in turn."""
    return loaded(family)


@pytest.fixture
def gpt2(loaded) -> PreTrainedModel:
    """The first checkpoint of the GPT-2 family."""
    return loaded("gpt2")


@pytest.fixture
def tokenizer(checkpoints) -> PreTrainedTokenizerBase:
    """The word-level tokenizer, fresh for each test, for it can be changed."""
    return load_tokenizer(checkpoints["gpt2", "pre"])
