"""PEFT adapters, such as LoRA's, merged into the model that they were trained on."""

import logging
import pickle
import re
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel, get_peft_model
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.models.checkpoint_folder import ADAPTER_CONFIG
from dpo_neurons.models.weight_reader import NUMBER_FORMATS

log = logging.getLogger("dpo_neurons")

WEIGHT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
"""peft reads the first of them that exists."""
DAMAGE_ERRORS = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, EOFError, ImportError,
    re.error,
)  # fmt: skip
"""What peft and torch raise for damaged files and adapters of other models."""


def check_adapter(adapter: Path) -> None:
    """Check that a directory holds an adapter.

    Raises InputError if the configuration is missing or no JSON, or the weights are missing.
    """
    if not (adapter / ADAPTER_CONFIG).is_file():
        raise InputError(
            f"{adapter}: no {ADAPTER_CONFIG} in it; give the directory that PEFT's "
            "save_pretrained wrote, or kind: directory for a whole checkpoint"
        )
    read_json(adapter / ADAPTER_CONFIG, "save the adapter again")
    if not any((adapter / name).is_file() for name in WEIGHT_FILES):
        raise InputError(f"{adapter}: no {' or '.join(WEIGHT_FILES)} in it; save the adapter again")


def merge_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """Merge an adapter into the weights of a model, which is changed and returned.

    Where the vocabulary was resized before training, peft saved embedding and unembedding whole;
    the model gets their number of rows.
    Raises InputError for an adapter that is damaged, was made for a model of another shape, or
    cannot be merged.
    """
    try:
        config = PeftConfig.from_pretrained(str(adapter), local_files_only=True)
        log.info(
            "%s: names %s as the model that it was trained on",
            adapter, config.base_model_name_or_path or "no model",
        )  # fmt: skip
        weights = load_peft_weights(str(adapter), device="cpu", local_files_only=True)
        _check_formats(weights, adapter)
        weights = _name_as_loaded(model, weights)
        _resize_vocabulary(model, weights, adapter)
        adapted = get_peft_model(model, config)
        _check_mergeable(adapted, adapter)
        report: Any = set_peft_model_state_dict(adapted, weights)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{adapter}: adapter_model.bin is damaged or holds objects besides tensors, which may "
            "be code and are not read; save the adapter again, as safetensors"
        ) from error
    except (*DAMAGE_ERRORS, SafetensorError) as error:
        raise _misfit(adapter, " ".join(str(error).split())) from error
    # peft fills missing weights with zeros or the model's own, and ignores unexpected ones.
    missing = [name for name in _not_loaded(adapted, report) if ".default" in name]
    for problem, names in (("lacks", missing), ("has besides", report.unexpected_keys)):
        if names:
            raise _misfit(adapter, f"it {problem} {sorted(names)[0]}")
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged


def _check_formats(weights: dict[str, Tensor], adapter: Path) -> None:
    """Raise InputError for codes of a quantised adapter, which peft would take for numbers."""
    for name, tensor in weights.items():
        if tensor.dtype not in NUMBER_FORMATS:
            raise _misfit(adapter, f"{name} holds {tensor.dtype} codes, which are no weights")


def _check_mergeable(adapted: PeftModel, adapter: Path) -> None:
    """Raise InputError for an adapter that merging would not keep whole."""
    if not hasattr(adapted.base_model, "merge_and_unload"):
        kind = adapted.active_peft_config.peft_type.value
        raise InputError(
            f"{adapter}: an adapter of type {kind} changes no weights, so there is nothing to "
            "merge; give one such as LoRA's"
        )
    ends = (adapted.get_input_embeddings(), adapted.get_output_embeddings())
    tied = adapted.config.tie_word_embeddings
    whole = all(isinstance(end, TrainableTokensLayer) for end in ends)
    if tied and not whole and any(isinstance(end, BaseTunerLayer) for end in ends):
        raise InputError(
            f"{adapter}: adapts only one of embedding and unembedding, which are one matrix in "
            "this model, so it cannot be merged; train it without them, or with modules_to_save"
        )


def _name_as_loaded(model: PreTrainedModel, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give weights the names under which peft loads them.

    After a vocabulary was resized, peft saves embedding and unembedding with all their parts:
    modules trained whole beside the original ones, and the rows of trained tokens under both ends
    of a tied matrix.
    """
    named = {}
    for name, tensor in weights.items():
        trained = name.removesuffix("weight") + "modules_to_save.weight"
        if ".original_module." not in name and trained not in weights:
            named[name.replace(".modules_to_save.", ".")] = tensor
    untyped: Any = model
    start, end = untyped.get_input_embeddings(), untyped.get_output_embeddings()
    if end is None or start.weight is not end.weight:
        return named
    start_name, end_name = (
        next(name for name, module in model.named_modules() if module is embedding)
        for embedding in (start, end)
    )
    for name in [name for name in named if f".{end_name}.token_adapter." in name]:
        twin = named.get(name.replace(f".{end_name}.", f".{start_name}."))
        if twin is not None and twin.equal(named[name]):
            del named[name]
    return named


def _resize_vocabulary(model: PreTrainedModel, weights: dict[str, Tensor], adapter: Path) -> None:
    """Give a model as many rows as the embeddings that an adapter holds, if they are others.

    Raises InputError if the adapter holds one of two separate matrices in another size.
    """
    untyped: Any = model
    ends = [untyped.get_input_embeddings(), untyped.get_output_embeddings()]
    rows = []
    for name, module in model.named_modules():
        if any(module is end for end in ends):
            path = re.escape(f"base_model.model.{name}")
            whole = re.compile(rf"{path}\.([\w.]*base_layer\.)?weight")
            rows += [len(weights[key]) for key in weights if whole.fullmatch(key)]
    if not rows or rows[0] == len(ends[0].weight):
        return
    tied = ends[0].weight is ends[1].weight
    if len(set(rows)) > 1 or (len(rows) == 1 and not tied):
        raise _misfit(
            adapter, f"it has one of embedding and unembedding with {rows[0]} rows, not both"
        )
    untyped.resize_token_embeddings(rows[0], mean_resizing=False)


def _not_loaded(adapted: PeftModel, report: Any) -> list[str]:  # noqa: ANN401
    """List the parameters that were not in the file, but for second names of those that were.

    On tied embeddings, both ends share the rows of trained tokens, which are saved once.
    """
    parameters = dict(adapted.named_parameters(remove_duplicate=False))
    missing = set(report.missing_keys)
    loaded = {id(parameter) for name, parameter in parameters.items() if name not in missing}
    return [name for name in missing if id(parameters.get(name)) not in loaded]


def _misfit(adapter: Path, reason: str) -> InputError:
    return InputError(
        f"{adapter}: cannot be merged into the first checkpoint ({reason}); give the adapter "
        "that was trained on this very model, whole"
    )
