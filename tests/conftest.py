"""Fixtures: tiny random models of every architecture, before and after a made-up fine-tuning."""

from pathlib import Path

import pytest
import torch
from build_tokenizer import build_tokenizer
from hypothesis import HealthCheck, settings
from support.tiny_models import WORDS, randomise, small_config
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from dpo_neurons.models.architectures import ARCHITECTURES
from dpo_neurons.models.loading import load_model, load_tokenizer

# On a busy machine, slow is not wrong.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Directory of each (architecture, stage); stage "other" is a third, unrelated checkpoint."""
    found = {}
    for number, architecture in enumerate(ARCHITECTURES):
        set_seed(100 + number)
        model = AutoModelForCausalLM.from_config(small_config(architecture), dtype=torch.float32)
        randomise(model, 0.3)
        for stage, spread in (("pre", 0.0), ("post", 0.05), ("other", 0.3)):
            randomise(model, spread)
            path = tmp_path_factory.mktemp(f"{architecture}_{stage}")
            model.save_pretrained(path)
            build_tokenizer(WORDS).save_pretrained(path)
            found[architecture, stage] = path
    return found


@pytest.fixture(scope="session", params=list(ARCHITECTURES))
def architecture(request) -> str:
    """Each architecture in turn."""
    return request.param


@pytest.fixture(scope="session")
def loaded(checkpoints):
    """Load a model once: loaded(architecture, stage)."""
    cache: dict[tuple[str, str], PreTrainedModel] = {}

    def load(architecture: str, stage: str = "pre") -> PreTrainedModel:
        if (architecture, stage) not in cache:
            cache[architecture, stage] = load_model(
                checkpoints[architecture, stage], "float32", "cpu"
            )
        return cache[architecture, stage]

    return load


@pytest.fixture
def model(loaded, architecture) -> PreTrainedModel:
    """The first checkpoint of each architecture in turn."""
    return loaded(architecture)


@pytest.fixture
def gpt2(loaded) -> PreTrainedModel:
    """The first checkpoint of the GPT-2 architecture."""
    return loaded("gpt2")


@pytest.fixture
def tokenizer(checkpoints) -> PreTrainedTokenizerBase:
    """The word-level tokenizer, fresh for each test, for it can be changed."""
    return load_tokenizer(checkpoints["gpt2", "pre"])
