"""Weights in PyTorch's own files, which are pickles; no code in them is run."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpo_neurons.errors import InputError
from dpo_neurons.models.weight_files import (
    BUFFERS,
    OLD_INDEX,
    OLD_SINGLE,
    read_index,
    unreadable_file,
)
from dpo_neurons.models.weight_reader import NUMBER_FORMATS


def read_pickle(path: Path, device: str = "cpu") -> Any:  # noqa: ANN401 - whatever was saved
    """Read a file that torch.save wrote; device "meta" reads shapes and formats alone.

    Raises InputError for a file that is damaged, or that holds objects besides tensors.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        known = isinstance(error, OSError | RuntimeError)
        reason = f" ({' '.join(str(error).split())[:200]})" if known else ""
        raise InputError(
            f"{path}: no state dict can be read from it{reason}; it is damaged, or holds objects "
            "besides tensors, which may be code and are not read; write it again with "
            'torch.save({"state": model.state_dict()}, …)'
        ) from error


def select_weights(content: Any, path: Path) -> dict[str, Tensor]:  # noqa: ANN401
    """Take the weights, by name, from what a file holds; buffers are left out.

    Raises InputError for anything but dense floating-point tensors by name, and for no weights at
    all.
    """
    if not isinstance(content, dict):
        raise InputError(f'{path}: neither a state dict nor a dict with the key "state"')
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{path}: {name!r} is not the name of a tensor; give a state dict, which holds "
                "tensors by name and nothing else"
            )
    weights = {name: tensor for name, tensor in content.items() if not BUFFERS.search(name)}
    if not weights:
        raise InputError(f"{path}: holds no weights; give the state dict of a whole model")
    for name, tensor in weights.items():
        if tensor.layout != torch.strided:
            raise InputError(
                f"{path}: {name} is a sparse tensor ({tensor.layout}); save it dense, by to_dense()"
            )
        if tensor.dtype not in NUMBER_FORMATS:
            raise InputError(
                f"{path}: {name} holds {tensor.dtype} codes of a quantised model; give the "
                "weights before quantisation"
            )
    return weights


def read_outlines(checkpoint: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint from before safetensors, by name, without their numbers.

    They are on the device "meta", where a tensor has its shape and format, and no memory.
    Raises InputError for files that are missing, damaged or hold anything but weights, and for a
    damaged index.
    """
    files = {checkpoint / OLD_SINGLE}
    if (checkpoint / OLD_INDEX).is_file():
        files = set(read_index(checkpoint, OLD_INDEX).values())
    weights: dict[str, Tensor] = {}
    for file in sorted(files):
        if not file.is_file():
            raise unreadable_file(file, FileNotFoundError("no such file"))
        weights |= select_weights(read_pickle(file, "meta"), file)
    return weights
