"""Checkpoints in GGUF, the format of llama.cpp, whose weights are usually quantised."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from dpo_neurons.errors import InputError
from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.models.loading import tells_of_damage

MAGIC = b"GGUF"
LIBRARY_FAULTS = (
    AttributeError, LookupError, RuntimeError, TypeError, ValueError, ArithmeticError,
    StrictDataclassError,
)  # fmt: skip
"""What transformers raises for a model that it cannot read from GGUF."""
NOT_WRITTEN = ("quantization_config", "_name_or_path")
"""Keys of a configuration that say where the weights came from, and hinder saving them."""


def write_gguf_as_checkpoint(path: Path, output: Path) -> str:
    """Write a GGUF file's weights, dequantised to float32, and its tokenizer as a checkpoint.

    Return the number formats of the file's tensors, such as "F32, Q4_1".
    Raises InputError for a file that is damaged or not GGUF, for a model that transformers does
    not read from GGUF, and for weights that are missing.
    """
    formats = read_formats(path)
    model = _load(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except BaseException as error:
        if not tells_of_damage(error):
            raise
        raise InputError(
            f"{path}: no tokenizer can be read from it ({_reason(error)}); give a file with "
            "tokenizer, as llama.cpp's converter writes it"
        ) from error
    with whole_directory(output) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return formats


def read_formats(path: Path) -> str:
    """Name the number formats of a GGUF file's tensors, sorted.

    Raises InputError for a file that is damaged or not GGUF.
    """
    from gguf import GGUFReader

    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path given in the configuration")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path}: no GGUF file, whose first bytes are GGUF; give one")
    try:
        tensors = GGUFReader(path).tensors
    except Exception as error:  # a damaged header may raise anything
        raise InputError(
            f"{path}: cannot be read as GGUF ({_reason(error)}); it is damaged or cut short; "
            "fetch it again"
        ) from error
    if not tensors:
        raise InputError(f"{path}: holds no weights; give the GGUF file of a whole model")
    return ", ".join(sorted({tensor.tensor_type.name for tensor in tensors}))


def _load(path: Path) -> PreTrainedModel:
    """Load the dequantised model as one that was never quantised, so that it can be saved."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, output_loading_info=True
        )
    except LIBRARY_FAULTS as error:
        raise InputError(
            f"{path}: transformers cannot read this model from GGUF ({_reason(error)}); give its "
            "Hugging Face folder"
        ) from error
    dequantised, report = loaded
    if report["missing_keys"]:
        raise InputError(
            f"{path}: lacks the weights {sorted(report['missing_keys'])[0]!r}; give the GGUF file "
            "of a whole model"
        )
    settings = dequantised.config.to_dict()
    config = type(dequantised.config)(
        **{key: value for key, value in settings.items() if key not in NOT_WRITTEN}
    )
    model: PreTrainedModel = type(dequantised)(config).to(torch.float32)
    model.load_state_dict(dequantised.state_dict())
    return model


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
