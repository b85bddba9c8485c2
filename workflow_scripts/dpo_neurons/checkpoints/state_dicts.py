"""Weights in PyTorch's own files: state dicts and old checkpoints.

The reference's training writes a .pt file with a dict whose key "state" holds the state dict.
"""

import re
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedModel

from dpo_neurons.checkpoints.saving import write_checkpoint
from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.loading import load_trainable_model
from dpo_neurons.models.weight_reader import NUMBER_FORMATS

BUFFERS = re.compile(
    r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$|\.attention\.(masked_)?bias$"
)
"""Names of constants that older versions of transformers stored along with the weights."""
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

    state: of `read_state_dict`. path: its file, for the error message.
    Raises InputError for weights that are missing, unexpected or of another shape, and for a
    damaged configuration.
    """
    read_architecture(like)
    try:
        config = AutoConfig.from_pretrained(like, local_files_only=True)
    except (StrictDataclassError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{like}/config.json: not valid ({reason}); restore the file") from error
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model: PreTrainedModel
    model, report = model_class.from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=widest_format(state.values()),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    mismatched = [str(name) for name, *_ in report["mismatched_keys"]]
    for problem, names in (
        ("lacks", report["missing_keys"]),
        ("has besides", report["unexpected_keys"]),
        ("has in another shape", mismatched),
    ):
        if names:
            raise InputError(
                f"{path}: {problem} {sorted(names)[0]!r} when compared with {like}; give the "
                "checkpoint that it was tuned from"
            )
    return model


def convert_old_weights(checkpoint: Path, weight_files: list[Path], output: Path) -> None:
    """Write a checkpoint from before safetensors anew, every number as it was.

    weight_files: the checkpoint's pytorch_model….bin. Their dtype is kept: the one that config.json
    names may be narrower.
    Raises InputError as `read_state_dict` and `load_trainable_model` do.
    """
    stored = (tensor for file in weight_files for tensor in read_state_dict(file, "meta").values())
    dtype = str(widest_format(stored)).removeprefix("torch.")
    write_checkpoint(load_trainable_model(checkpoint, dtype), checkpoint, output)
