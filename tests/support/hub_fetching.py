"""What is fetched from the stand-in for a hub, and the sentence where that fails."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import _tree_cache

from dpo_neurons.errors import InputError
from dpo_neurons.study.hub import fetch, model_files
from dpo_neurons.study.hub_errors import Pin

TOKEN = "hf_SecretSecretSecret"
MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "merges.txt": b"a b\n",
    "model.safetensors": bytes(range(256)) * 400,
    "pytorch_model.bin": b"bin",
    "README.md": b"#",
}
PROMPTS = {"prompts.jsonl": b'{"prompt": "a"}\n', "data/x[1].csv": b"a\n1\n", "README.md": b"#"}


def forget_listings(cache: Path) -> None:
    """Leave the cache as clients did that kept no listings."""
    (listings,) = cache.glob("*/trees")
    shutil.rmtree(listings)
    _tree_cache._IN_MEMORY_TREE_CACHE.clear()


def fails(pin: Pin, choose=model_files) -> str:
    """The sentence of a failure: one line, the repository in it, the token not."""
    with pytest.raises(InputError) as caught:
        fetch(pin, choose)
    message = str(caught.value)
    assert pin.repository in message
    assert "\n" not in message
    assert TOKEN not in message
    return message
