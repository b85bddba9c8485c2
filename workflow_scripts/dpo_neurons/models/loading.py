"""Loading a checkpoint: the model ready for inference, its tokenizer ready for batches."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import check_as_recorded
from dpo_neurons.models.checkpoint_folder import (
    TOKENIZER_JSON,
    check_tokenizer,
    check_weight_files,
    read_architecture,
)
from dpo_neurons.models.expected_weights import (
    check_decoding_defaults,
    check_stored_weights,
    load_config,
)
from dpo_neurons.models.tokenization import SAMPLES, choose_padding

log = logging.getLogger("dpo_neurons")

DAMAGE = (TypeError, LookupError, AttributeError)
"""What transformers raises for a JSON file that holds other keys or types than it expects."""
TOKENIZER_DAMAGE = (
    *DAMAGE, ValueError, OSError, RuntimeError, ImportError, StrictDataclassError
)  # fmt: skip
"""What transformers and sentencepiece raise for damaged files of a tokenizer."""
NO_ROOM = (
    "the model has no room on {} GPU(s); raise models.….gpus, set models.….dtype to bfloat16, or "
    "run where GPUs are larger or free"
)


def load_model(
    checkpoint: Path, dtype: str, devices: str | list[str], attention: str = "default"
) -> PreTrainedModel:
    """Load a causal language model for inference, in `dtype` (a torch dtype's name).

    devices: one device, or several GPUs over which the layers are spread evenly. attention:
    transformers' implementation (eager, sdpa, flash_attention_2, or "default" for its own choice).
    Of the checkpoint's decoding defaults, only end-of-sequence and padding tokens are kept, so
    generation is always greedy.
    Raises InputError for a directory that is no checkpoint, a quantised one, an architecture that
    is not in the table, an attention implementation that is not installed, or GPUs that are too
    small.
    """
    devices = [devices] if isinstance(devices, str) else devices
    if dtype == "bfloat16" and devices == ["cpu"]:
        _warn_of_slow_bfloat16()
    model = load_trainable_model(checkpoint, dtype, attention, devices)
    shipped = model.generation_config
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=shipped.eos_token_id, pad_token_id=shipped.pad_token_id, do_sample=False
    )
    model.train(False).requires_grad_(False)
    return model


def _warn_of_slow_bfloat16() -> None:
    capabilities = torch.cpu.get_capabilities()
    has_instructions = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    if capabilities.get("architecture") == "x86_64" and not has_instructions:
        log.info(
            "this processor has no instructions for bfloat16 (avx512_bf16, amx_bf16): float32 is "
            "several times faster here; set models.….dtype to it"
        )


def load_trainable_model(
    checkpoint: Path, dtype: str, attention: str = "default", devices: Sequence[str] = ("cpu",)
) -> PreTrainedModel:
    """Load a causal language model as it is, in `dtype`.

    Raises InputError as `load_model` does.
    """
    read_architecture(checkpoint)
    check_as_recorded(checkpoint, torch.get_num_threads())
    check_weight_files(checkpoint)
    check_stored_weights(checkpoint)
    check_decoding_defaults(checkpoint)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            # None is transformers' choice; without the key, config.json would choose.
            attn_implementation=None if attention == "default" else attention,
            **_placement(devices),
        )
    except torch.OutOfMemoryError as error:
        raise InputError(f"{checkpoint}: {NO_ROOM.format(len(devices))}") from error
    except (*DAMAGE, OSError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise InputError(
            f"{checkpoint}: cannot load the model ({_reason(error)}); fetch or make the "
            "checkpoint again"
        ) from error
    except (ImportError, ValueError) as error:
        if attention == "default":
            raise
        raise InputError(
            f"models.….attention: {attention} cannot be used for {checkpoint} "
            f"({_reason(error)}); set it to default"
        ) from error
    _check_placed(model, checkpoint, devices)
    # config.json may ask for plain tuples, which have no names.
    model.config.return_dict = True
    return model


def _follow_tokenizer_json(
    tokenizer: PreTrainedTokenizerBase, checkpoint: Path
) -> PreTrainedTokenizerBase:
    """Return the tokenizer of tokenizer.json, if transformers' makes other ids of texts.

    For some types of model transformers replaces how the file normalises and splits texts. Models
    were trained on what the file does.
    """
    file = checkpoint / TOKENIZER_JSON
    if not file.is_file():
        return tokenizer
    described = Tokenizer.from_file(str(file))
    described.no_truncation()
    described.no_padding()
    for sample in SAMPLES:
        ids = tokenizer(sample, add_special_tokens=False)["input_ids"]
        if ids != described.encode(sample, add_special_tokens=False).ids:
            log.info(
                "%s: transformers' %s makes other ids of %r than the file does, which is followed",
                file, type(tokenizer).__name__, sample,
            )  # fmt: skip
            followed: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(
                checkpoint, local_files_only=True
            )
            return followed
    return tokenizer


def tells_of_damage(error: BaseException) -> bool:
    """Whether an error is one that transformers raises for damaged files of a tokenizer.

    The library tokenizers raises bare exceptions, and PanicException, which is no Exception.
    """
    panics = type(error).__name__ == "PanicException"
    return isinstance(error, TOKENIZER_DAMAGE) or type(error) is Exception or panics


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())


def _placement(devices: Sequence[str]) -> dict[str, Any]:
    if len(devices) == 1:
        return {"device_map": {"": devices[0]}}
    # GPUs that are not named here get nothing: other jobs hold them.
    free = {torch.device(device).index: torch.cuda.mem_get_info(device)[0] for device in devices}
    return {"device_map": "balanced", "max_memory": free}


def _check_placed(model: PreTrainedModel, checkpoint: Path, devices: Sequence[str]) -> None:
    # Layers that do not fit on the GPUs go to memory or disk, where hooks do not change them.
    places = {str(place) for place in getattr(model, "hf_device_map", {}).values()}
    if {"cpu", "disk"} & places - set(devices):
        raise InputError(f"{checkpoint}: {NO_ROOM.format(len(devices))}")


def load_tokenizer(checkpoint: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint, padding on the left as generation needs.

    It makes the ids that tokenizer.json says, whatever class transformers has for the model. Where
    its padding token is none of the model's, as after a token was added and the model was not
    resized, another token pads: padding is masked, so any will do.
    Raises InputError if the directory holds none.
    """
    check_tokenizer(checkpoint)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint, local_files_only=True, trust_remote_code=False
        )
        tokenizer("a")  # parts that contradict each other fail at the first text
        tokenizer = _follow_tokenizer_json(tokenizer, checkpoint)
    except BaseException as error:
        if not tells_of_damage(error):
            raise
        raise InputError(
            f"{checkpoint}: cannot load a tokenizer ({_reason(error)}); "
            "copy the tokenizer's files into the checkpoint's directory"
        ) from error
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise InputError(
            f"{checkpoint}: the tokenizer has neither a padding token nor one that ends texts; "
            "name one as pad_token in tokenizer_config.json"
        )
    if (checkpoint / "config.json").is_file():
        vocabulary = load_config(checkpoint).vocab_size
        if tokenizer.pad_token_id >= vocabulary:
            padding = choose_padding(tokenizer, vocabulary)
            log.info(
                "%s: the padding token %r is token %d of a model with %d; %r pads instead",
                checkpoint, tokenizer.pad_token, tokenizer.pad_token_id, vocabulary,
                tokenizer.convert_ids_to_tokens(padding),
            )  # fmt: skip
            tokenizer.pad_token_id = padding
    return tokenizer
