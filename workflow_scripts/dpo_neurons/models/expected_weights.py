"""Whether the tensors of a checkpoint are those of its architecture, before any is allocated.

transformers compares them, on torch's device "meta", where tensors have shapes and no memory. So
what is compared is what transformers will load, with its own renaming and tying.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    GenerationConfig,
    PretrainedConfig,
)
from transformers.utils import logging as transformers_logging

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import architecture_of_type
from dpo_neurons.models.checkpoint_folder import GENERATION_CONFIG, old_weights
from dpo_neurons.models.pickled_weights import read_outlines
from dpo_neurons.models.weight_files import BUFFERS, read_headers

NUMBER_FORMATS = ("F32", "BF16", "F16", "F64")
"""Formats, as safetensors spells them, whose numbers are weights and no codes."""

CONFIG_ERRORS = (
    StrictDataclassError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    RuntimeError, AssertionError, OSError,
)  # fmt: skip
"""What transformers raises for a configuration that it cannot read or build a model by."""


@dataclass(frozen=True)
class Differences:
    """How stored tensors differ from those of a model, by name."""

    missing: list[str]
    left_over: list[str]
    misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    """Name, shape as stored, and shape in the model."""


def load_config(checkpoint: Path) -> PretrainedConfig:
    """Load a checkpoint's configuration, with transformers' defaults for what it leaves out.

    The implementation of attention that it names need not be installed.
    Raises InputError for a configuration that transformers cannot make sense of.
    """
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            checkpoint, local_files_only=True, attn_implementation="eager"
        )
    except CONFIG_ERRORS as error:
        raise _invalid_config(checkpoint / "config.json", error) from error
    return config


def check_decoding_defaults(checkpoint: Path) -> None:
    """Check that transformers can read a checkpoint's generation_config.json, if it has one.

    Raises InputError for values that it refuses, such as several texts from greedy decoding.
    """
    if not (checkpoint / GENERATION_CONFIG).is_file():
        return
    try:
        GenerationConfig.from_pretrained(checkpoint, local_files_only=True)
    except CONFIG_ERRORS as error:
        raise _invalid_config(checkpoint / GENERATION_CONFIG, error) from error


def check_stored_weights(checkpoint: Path) -> None:
    """Check, by headers alone, that a checkpoint's tensors are the weights of its architecture.

    Raises InputError for tensors that are missing, left over, empty, of another shape, or codes of
    a quantised model, and for a model_type that does not fit them.
    """
    if old_weights(checkpoint):
        shapes = {name: tuple(w.shape) for name, w in read_outlines(checkpoint).items()}
    else:
        shapes = _read_shapes(checkpoint)
    _check_shapes(shapes, load_config(checkpoint), checkpoint)


def _read_shapes(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """Read the shapes of safetensors, by name; raises InputError for quantised codes."""
    headers = read_headers(checkpoint)
    for name, header in headers.items():
        if header.dtype not in NUMBER_FORMATS and not BUFFERS.search(name):
            raise InputError(
                f"{header.file}: {name} holds {header.dtype} codes of a quantised model, which are "
                "no weights; use the checkpoint before quantisation"
            )
    return {name: header.shape for name, header in headers.items()}


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]], config: PretrainedConfig, checkpoint: Path
) -> None:
    """Check that tensors with these shapes, by name, are those of a configuration's model.

    checkpoint: where both lie, for the error message.
    Raises InputError as `check_stored_weights` does.
    """
    empty = [name for name, shape in shapes.items() if 0 in shape]
    if empty:
        raise InputError(
            f"{checkpoint}: cannot load the model, for {empty[0]!r} is empty, as where a part of "
            "the weights was on another process when they were saved; save the whole model again"
        )
    _check_count_of_layers(shapes, config, checkpoint)
    try:
        differences = compare_with_model(shapes, config)
    except CONFIG_ERRORS as error:
        raise _invalid_config(checkpoint / "config.json", error) from error
    missing, left_over = differences.missing, differences.left_over
    if missing and left_over and len(missing) > len(shapes) // 2:
        raise InputError(
            f"{checkpoint}: cannot load the model, for model_type {config.model_type!r} of "
            f"config.json does not fit the weights, which lack {missing[0]!r} and hold "
            f"{left_over[0]!r}; give the config.json that belongs to them"
        )
    if missing:
        raise InputError(
            f"{checkpoint}: cannot load the model, for the weights {missing[0]!r} are missing"
            f"{f' and {left_over[0]!r} are left over' if left_over else ''}; fetch or make the "
            "checkpoint again"
        )
    if left_over:
        raise InputError(
            f"{checkpoint}: cannot load the model, for the weights {left_over[0]!r} are no part of "
            f"a {config.model_type} model with this config.json; give the config.json that belongs "
            "to them, or save the model without them"
        )
    if differences.misshapen:
        name, stored, expected = differences.misshapen[0]
        raise InputError(
            f"{checkpoint}: cannot load the model, for {name!r} has the shape {stored}, and by "
            f"config.json {expected}; give the config.json that belongs to the weights"
        )


def compare_with_model(
    shapes: Mapping[str, tuple[int, ...]], config: PretrainedConfig
) -> Differences:
    """Compare tensors, by name and shape, with those that a configuration's model loads.

    No weight is allocated. Constants that older versions of transformers stored are no difference.
    """
    state = {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes.items()
        if not BUFFERS.search(name)
    }
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    with _quiet_transformers():
        _, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=state,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    misshapen = [
        (str(name), tuple(stored), tuple(expected))
        for name, stored, expected in report["mismatched_keys"]
    ]
    twice = [name for name in state if name.partition(".")[2] in state]
    left_over = sorted({*report["unexpected_keys"], *twice})
    return Differences(sorted(report["missing_keys"]), left_over, sorted(misshapen))


def _check_count_of_layers(
    shapes: Mapping[str, tuple[int, ...]], config: PretrainedConfig, checkpoint: Path
) -> None:
    """Raise InputError unless the weights have as many layers as the configuration.

    Checked first: a configuration with a million layers would take hours to compare.
    """
    architecture = architecture_of_type(config.model_type, checkpoint)
    block = re.compile(rf"({re.escape(architecture.blocks)}|{_bare(architecture.blocks)})\.(\d+)\.")
    layers = [int(match[2]) for match in map(block.match, shapes) if match]
    stored = max(layers, default=-1) + 1
    if stored and stored != config.num_hidden_layers:
        raise InputError(
            f"{checkpoint}: cannot load the model, for its weights have {stored} layers, and by "
            f"config.json {config.num_hidden_layers}; give the config.json that belongs to them"
        )
    if not stored:
        raise InputError(
            f"{checkpoint}: cannot load the model, for model_type {config.model_type!r} of "
            f"config.json does not fit the weights, which have no {architecture.blocks}.0 and hold "
            f"{next(iter(shapes), 'nothing')!r}; give the config.json that belongs to them, or "
            "save the whole model without a wrapper such as DataParallel's"
        )


def _invalid_config(file: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(
        f"{file}: not valid ({reason}), so transformers cannot load the model; restore the file"
    )


def _bare(path: str) -> str:
    """A module's path as a regular expression, without the causal model's prefix."""
    return re.escape(path.partition(".")[2] or path)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' own report of a comparison, and its progress bar, out of the log."""
    level = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
