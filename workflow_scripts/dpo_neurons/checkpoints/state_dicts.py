"""Weights in PyTorch's own files: state dicts and old checkpoints.

The reference's training writes a .pt file with a dict whose key "state" holds the state dict.
"""

import re
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedModel

from dpo_neurons.checkpoints.saving import write_checkpoint
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Architecture
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.expected_weights import compare_with_model, load_config
from dpo_neurons.models.loading import load_trainable_model
from dpo_neurons.models.pickled_weights import read_outlines, read_pickle, select_weights

WRAPPER_PREFIXES = re.compile(r"(module\.|_orig_mod\.)+")
"""Prefixes that DataParallel and torch.compile put before every name."""


def read_state_dict(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a state dict: tensors by name, from the file's key "state" if it has one.

    No code in the file is run. Buffers and wrappers' prefixes are left out. device "meta" reads
    shapes and formats alone.
    Raises InputError for a file that is damaged, holds no weights, or holds anything but
    floating-point tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path given in the configuration")
    content = read_pickle(path, device)
    state = content.get("state", content) if isinstance(content, dict) else content
    weights = select_weights(state, path)
    empty = [name for name, tensor in weights.items() if tensor.is_meta]
    if empty and device != "meta":
        raise InputError(
            f"{path}: {empty[0]} has a shape and no numbers (device meta), as where weights were "
            "moved to disk when they were saved; save the whole model again"
        )
    if all(WRAPPER_PREFIXES.match(name) for name in weights):
        return {WRAPPER_PREFIXES.sub("", name, count=1): tensor for name, tensor in weights.items()}
    return weights


def widest_format(tensors: Iterable[Tensor]) -> torch.dtype:
    """Find the number format that holds the numbers of all tensors exactly."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors))


def build_model_from_state(path: Path, like: Path) -> PreTrainedModel:
    """Build a model with the configuration of the checkpoint `like` and a state dict's weights.

    A vocabulary that was resized, as for a padding token, is taken over: the configuration gets the
    state's number of rows. The weights are compared with the configuration before they are read.
    Raises InputError as `read_state_dict` does, for weights that are missing, unexpected or of
    another shape, and for a damaged configuration.
    """
    architecture = read_architecture(like)
    config = load_config(like)
    outlines = read_state_dict(path, "meta")
    config.vocab_size = _count_tokens(outlines, architecture) or config.vocab_size
    differences = compare_with_model({name: w.shape for name, w in outlines.items()}, config)
    problems = [
        f"{problem} {names[0]!r}"
        for problem, names in (
            ("lacks", differences.missing),
            ("has besides", differences.left_over),
            ("has in another shape", [name for name, *_ in differences.misshapen]),
        )
        if names
    ]
    if problems:
        raise InputError(
            f"{path}: {' and '.join(problems)} when compared with {like}; give the checkpoint that "
            "it was tuned from"
        )
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model: PreTrainedModel = model_class.from_pretrained(
        None,
        config=config,
        state_dict=read_state_dict(path),
        dtype=widest_format(outlines.values()),
        attn_implementation=None,  # transformers' own choice, as when the checkpoint is loaded
    )
    return model


def _count_tokens(state: dict[str, Tensor], architecture: Architecture) -> int | None:
    """Count the rows of a state's embedding; None unless its unembedding, if it has one, agrees."""
    paths = (architecture.embedding, architecture.unembedding, "lm_head")
    names = [f"{path}.weight" for path in paths]
    rows = {len(state[name]) for name in names if name in state and state[name].ndim == 2}
    return rows.pop() if len(rows) == 1 else None


def convert_old_weights(checkpoint: Path, output: Path) -> None:
    """Write a checkpoint from before safetensors anew, every number as it was.

    The number format of its files is kept: the one that config.json names may be narrower.
    Raises InputError as `load_trainable_model` does.
    """
    dtype = widest_format(read_outlines(checkpoint).values())
    model = load_trainable_model(checkpoint, str(dtype).removeprefix("torch."))
    write_checkpoint(model, checkpoint, output)
