"""Loading a checkpoint: the model ready for inference, its tokenizer ready for batches."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.checkpoint_config import read_config
from dpo_neurons.errors import InputError
from dpo_neurons.families import family_of

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_model(checkpoint: Path, dtype: str, device: str) -> PreTrainedModel:
    """Load a causal language model for inference, in `dtype` (a torch dtype's name) on `device`.

    Decoding defaults shipped with the checkpoint (sampling, penalties) are dropped: only its
    end-of-sequence and padding tokens are kept, so generation is greedy whatever the model says.
    Raises InputError for a directory that is no checkpoint or a family that is not in the table.
    """
    model = load_trainable_model(checkpoint, dtype)
    shipped = model.generation_config
    model.generation_config = GenerationConfig(
        eos_token_id=shipped.eos_token_id, pad_token_id=shipped.pad_token_id, do_sample=False
    )
    return model.to(device).eval().requires_grad_(False)


def load_trainable_model(checkpoint: Path, dtype: str) -> PreTrainedModel:
    """Load a causal language model as it is, on the CPU.

    Raises InputError for a directory that is no checkpoint or a family that is not in the table.
    """
    family_of(read_config(checkpoint).get("model_type", "missing"), checkpoint)
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{checkpoint}: cannot load the model ({error}); fetch or make the checkpoint again"
        ) from error
    if report["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise InputError(
            f"{checkpoint}: the weights {sorted(report['missing_keys'])[0]!r} are missing; "
            "fetch or make the checkpoint again"
        )
    return model


def load_tokenizer(checkpoint: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint, padding on the left as generation needs.

    Raises InputError if the directory holds none.
    """
    if not any((checkpoint / name).is_file() for name in TOKENIZER_FILES):
        # transformers would make an empty tokenizer and go on.
        raise InputError(
            f"{checkpoint}: no tokenizer in it ({', '.join(TOKENIZER_FILES)}); copy the "
            "tokenizer's files into the checkpoint's directory"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: cannot load a tokenizer ({error}); "
            "copy the tokenizer's files into the checkpoint's directory"
        ) from error
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
