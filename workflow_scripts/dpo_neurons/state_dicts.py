"""State dicts in .pt files, as the reference's training wrote them: a dict with the key "state"."""

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedModel

from dpo_neurons.checkpoint_config import family_of_checkpoint
from dpo_neurons.errors import InputError

BUFFERS = re.compile(
    r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$|\.attention\.(masked_)?bias$"
)
"""Constants that older versions of transformers stored along with the weights."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict by name, from the file's key "state" if it has one; no code is run.

    Raises InputError for a file that is damaged, holds anything but tensors, or none.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: no state dict can be read from it ({' '.join(str(error).split())[:200]}); "
            'it must be a file that torch.save wrote of a dict of tensors, or of {"state": …}'
        ) from error
    state = content.get("state", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise InputError(f'{path}: neither a state dict nor a dict with the key "state"')
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise InputError(f"{path}: {odd[0]!r} is no tensor; give a dict of tensors")
    return {name: tensor for name, tensor in state.items() if not BUFFERS.search(str(name))}


def model_from_state(state: dict[str, Tensor], like: Path, path: Path) -> PreTrainedModel:
    """A model with the configuration of the checkpoint `like` and the weights of a state dict.

    Raises InputError, naming `path`, for weights that are missing, left over, of another shape or
    no floating-point numbers.
    """
    family_of_checkpoint(like)
    codes = [name for name, tensor in state.items() if not tensor.is_floating_point()]
    if codes:
        raise InputError(
            f"{path}: {codes[0]} holds {state[codes[0]].dtype} codes of a quantised model; give "
            "the weights before quantisation"
        )
    config = AutoConfig.from_pretrained(like, local_files_only=True)
    model, report = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=next(iter(state.values())).dtype,
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
