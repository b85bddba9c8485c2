"""Captures of both checkpoints of an architecture, made as the programs make them."""

import sys
from pathlib import Path

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.activations.crossed_capture import CrossedCapture
from dpo_neurons.models.generation import generate_greedily
from support.tiny_models import PROMPTS
from support.whole_cache import new_cache

N_TOKENS = 4


def capture_pair(pre, post, tokenizer, folder: Path) -> None:
    """Write pre.h5, post.h5 and crossed.h5 of two loaded models into a folder."""
    for name, model in (("pre", pre), ("post", post)):
        with cache_in(folder, name) as cache, ActivationCapture(model, "generated") as capture:
            for batch in generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, 16, capture):
                add(cache, batch, capture.sums)
    with (
        cache_in(folder, "crossed") as cache,
        CrossedCapture(pre, post, "generated") as capture,
    ):
        for batch in generate_greedily(pre, tokenizer, PROMPTS, N_TOKENS, 16, capture):
            add(cache, batch, capture.sums)


def cache_in(folder: Path, name: str):
    """A new cache for all prompts."""
    attributes = {"model": "m", "revision": name, "dtype": "float32", "positions": "generated"}
    return new_cache(folder / f"{name}.h5", len(PROMPTS), N_TOKENS, attributes)


def add(cache, batch, sums) -> None:
    """Add a batch's sums to a cache."""
    numbers = {name: each.numpy() for name, each in sums.items()}
    cache.add(batch.start, batch.tokens, batch.mask, numbers)


def run_main(program, monkeypatch, arguments: dict[str, object]) -> None:
    """Run a program's main in this process, with these named arguments."""
    words = [str(word) for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", [program.__name__, *words])
    program.main()
