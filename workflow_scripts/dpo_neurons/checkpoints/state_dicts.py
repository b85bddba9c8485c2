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
from dpo_neurons.models.expected_weights import (
    BUFFERS,
    check_shapes,
    compare_with_model,
    load_config,
)
from dpo_neurons.models.loading import load_trainable_model
from dpo_neurons.models.weight_reader import NUMBER_FORMATS

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
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        known = isinstance(error, OSError | RuntimeError)
        reason = f" ({' '.join(str(error).split())[:200]})" if known else ""
        raise InputError(
            f"{path}: no state dict can be read from it{reason}; it is damaged, or holds objects "
            "besides tensors, which may be code and are not read; write it again with "
            'torch.save({"state": model.state_dict()}, …)'
        ) from error
    state = content.get("state", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f'{path}: neither a state dict nor a dict with the key "state"')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{path}: {name!r} is not the name of a tensor; give a dict of tensors by name, "
                'or one with such a dict under "state"'
            )
    weights = {name: tensor for name, tensor in state.items() if not BUFFERS.search(name)}
    if not weights:
        raise InputError(f"{path}: holds no weights; give the state dict of a whole model")
    _check_formats(weights, path)
    if all(WRAPPER_PREFIXES.match(name) for name in weights):
        return {WRAPPER_PREFIXES.sub("", name, count=1): tensor for name, tensor in weights.items()}
    return weights


def _check_formats(weights: dict[str, Tensor], path: Path) -> None:
    """Raise InputError for weights that are integer codes of a quantised model."""
    for name, tensor in weights.items():
        if tensor.dtype not in NUMBER_FORMATS:
            raise InputError(
                f"{path}: {name} holds {tensor.dtype} codes of a quantised model; give the "
                "weights before quantisation"
            )


def widest_format(tensors: Iterable[Tensor]) -> torch.dtype:
    """Find the number format that holds the numbers of all tensors exactly."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors))


def build_model_from_state(state: dict[str, Tensor], like: Path, path: Path) -> PreTrainedModel:
    """Build a model with the configuration of the checkpoint `like` and given weights.

    A vocabulary that was resized, as for a padding token, is taken over: the configuration gets the
    state's number of rows. state: of `read_state_dict`. path: its file, for the error message.
    Raises InputError for weights that are missing, unexpected or of another shape, and for a
    damaged configuration.
    """
    architecture = read_architecture(like)
    config = load_config(like)
    config.vocab_size = _count_tokens(state, architecture) or config.vocab_size
    differences = compare_with_model({name: w.shape for name, w in state.items()}, config)
    for problem, names in (
        ("lacks", differences.missing),
        ("has besides", differences.left_over),
        ("has in another shape", [name for name, *_ in differences.misshapen]),
    ):
        if names:
            raise InputError(
                f"{path}: {problem} {names[0]!r} when compared with {like}; give the "
                "checkpoint that it was tuned from"
            )
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model: PreTrainedModel = model_class.from_pretrained(
        None, config=config, state_dict=state, dtype=widest_format(state.values())
    )
    return model


def _count_tokens(state: dict[str, Tensor], architecture: Architecture) -> int | None:
    """Count the rows of a state's embedding; None unless its unembedding, if it has one, agrees."""
    paths = (architecture.embedding, architecture.unembedding, "lm_head")
    names = [f"{path}.weight" for path in paths]
    rows = {len(state[name]) for name in names if name in state and state[name].ndim == 2}
    return rows.pop() if len(rows) == 1 else None


def convert_old_weights(checkpoint: Path, weight_files: list[Path], output: Path) -> None:
    """Write a checkpoint from before safetensors anew, every number as it was.

    weight_files: the checkpoint's pytorch_model….bin. Their dtype is kept: the one that config.json
    names may be narrower.
    Raises InputError as `read_state_dict` and `load_trainable_model` do.
    """
    stored = {name: w for file in weight_files for name, w in read_state_dict(file, "meta").items()}
    check_shapes({n: w.shape for n, w in stored.items()}, load_config(checkpoint), checkpoint)
    dtype = str(widest_format(stored.values())).removeprefix("torch.")
    write_checkpoint(load_trainable_model(checkpoint, dtype), checkpoint, output)
