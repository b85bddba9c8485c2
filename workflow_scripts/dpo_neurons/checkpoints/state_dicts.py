"""State dicts in .pt files, as the reference's training wrote them: a dict with the key "state"."""

import re
from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedModel

from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.weight_reader import NUMBER_FORMATS

BUFFERS = re.compile(
    r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$|\.attention\.(masked_)?bias$"
)
"""Constants that older versions of transformers stored along with the weights."""
WRAPPED = re.compile(r"(module\.|_orig_mod\.)+")
"""What DataParallel and torch.compile put before every name."""


def read_state_dict(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a state dict by name, from the file's key "state" if it has one; no code is run.

    Buffers and wrappers' prefixes are left out. device "meta" reads shapes and formats alone.
    Raises InputError for a file that is damaged, holds anything but floating-point tensors, or no
    weights.
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
    if all(WRAPPED.match(name) for name in weights):
        return {WRAPPED.sub("", name, count=1): tensor for name, tensor in weights.items()}
    return weights


def _check_formats(weights: dict[str, Tensor], path: Path) -> None:
    for name, tensor in weights.items():
        if tensor.dtype not in NUMBER_FORMATS:
            raise InputError(
                f"{path}: {name} holds {tensor.dtype} codes of a quantised model; give the "
                "weights before quantisation"
            )


def widest_format(tensors: Iterable[Tensor]) -> torch.dtype:
    """The number format that holds all tensors' numbers exactly."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors))


def model_from_state(state: dict[str, Tensor], like: Path, path: Path) -> PreTrainedModel:
    """A model with the configuration of the checkpoint `like` and the weights of a state dict.

    Raises InputError, naming `path`, for weights that are missing, left over or of another shape.
    """
    read_architecture(like)
    try:
        config = AutoConfig.from_pretrained(like, local_files_only=True)
    except (StrictDataclassError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{like}/config.json: not valid ({reason}); restore the file") from error
    model, report = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=widest_format(state.values()),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    mismatched = [str(name) for name, *_ in report["mismatched_keys"]]
    for what, names in (
        ("lacks", report["missing_keys"]),
        ("has besides", report["unexpected_keys"]),
        ("has in another shape", mismatched),
    ):
        if names:
            raise InputError(
                f"{path}: {what} {sorted(names)[0]!r} when compared with {like}; give the "
                "checkpoint that it was tuned from"
            )
    return model
