"""A pytest plugin: a checkpoint whose unembedding is its embedding."""

import pytest
from transformers import AutoModelForCausalLM

from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from support.tiny_models import WORDS, randomise, small_config


@pytest.fixture
def tied(tmp_path):
    """A Llama whose unembedding is its embedding."""
    config = small_config("llama")
    config.tie_word_embeddings = True
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, 0.3)
    model.save_pretrained(tmp_path / "tied")
    build_tokenizer(WORDS).save_pretrained(tmp_path / "tied")
    return tmp_path / "tied"
