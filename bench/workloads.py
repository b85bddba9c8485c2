"""Workloads of the benchmarks: random models of a given shape, random prompts."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPT_WORDS = (6, 24)
"""Shortest and longest prompt in tokens, about as in real challenge prompts."""


@dataclass(frozen=True)
class Shape:
    """The shape of a GPT-2 model; the defaults are those of GPT-2 medium."""

    layers: int = 24
    width: int = 1024
    heads: int = 16
    vocabulary: int = 50257


@dataclass(frozen=True)
class Work:
    """The number of prompts, of tokens after each, and of prompts in a batch."""

    prompts: int = 32
    tokens: int = 20
    batch_size: int = 16


def add_shape_arguments(parser: argparse.ArgumentParser, shape: Shape, work: Work) -> None:
    """Add the arguments for the model's shape, its number format, and the work."""
    for name, value in {**vars(shape), **vars(work)}.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=value, help="%(default)s")
    parser.add_argument("--dtype", default="float32", help="%(default)s")


def read_shape(arguments: argparse.Namespace) -> Shape:
    """Read the shape from the command line."""
    return Shape(*(getattr(arguments, name) for name in vars(Shape())))


def read_work(arguments: argparse.Namespace) -> Work:
    """Read the work from the command line."""
    return Work(*(getattr(arguments, name) for name in vars(Work())))


def make_model(shape: Shape, dtype: str, device: str) -> PreTrainedModel:
    """Make a GPT-2 with random weights and no end-of-sequence token."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, set_seed

    set_seed(0)
    config = GPT2Config(
        vocab_size=shape.vocabulary,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).to(device=device, dtype=getattr(torch, dtype)).eval()
    model.generation_config.eos_token_id = None
    return model


def make_smollm2() -> PreTrainedModel:
    """Make a model of the shape of SmolLM2 135M, likewise, on the CPU in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_theta=100000,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    return model


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Make a tokenizer with one token per word, and padding on the left."""
    from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
    from dpo_neurons.study.synthetic_language import DOCUMENT_END, PADDING, UNKNOWN

    words = [PADDING, UNKNOWN, DOCUMENT_END]
    words += [f"w{number}" for number in range(vocabulary - len(words))]
    tokenizer = build_tokenizer(words)
    tokenizer.padding_side = "left"
    return tokenizer


def make_prompts(count: int, vocabulary: int) -> list[str]:
    """Make prompts of random words and lengths, always the same ones."""
    generator = random.Random(0)
    lengths = [generator.randint(*PROMPT_WORDS) for _ in range(count)]
    return [
        " ".join(f"w{generator.randrange(vocabulary - 3)}" for _ in range(length))
        for length in lengths
    ]
