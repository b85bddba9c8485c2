"""Reading value vectors straight from a checkpoint's files: no model is built, no GPU needed."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dpo_neurons.checkpoint_config import read_config
from dpo_neurons.errors import InputError
from dpo_neurons.families import Family, family_of

NUMBER_FORMATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""Formats whose numbers are weights; anything else, 8-bit floats too, needs a scale to be one."""


def layers_of_values(checkpoint: Path) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield each layer's value vectors, (d_mlp, d_model) float64, and its bias, (d_model,) or None.

    Raises InputError for a model of no known family, weights that are no floating-point numbers
    (quantised codes are no value vectors), or files that are missing or damaged.
    """
    family = family_of(read_config(checkpoint).get("model_type", "missing"), checkpoint)
    files = _files_of_tensors(checkpoint)
    layer = 0
    while weight_name := _stored_name(family, layer, "weight", files):
        weight = _read(files[weight_name], weight_name)
        bias_name = _stored_name(family, layer, "bias", files)
        bias = _read(files[bias_name], bias_name) if bias_name else None
        yield (weight if family.neurons_in_rows else weight.T), bias
        layer += 1
    if layer == 0:
        raise InputError(
            f"{checkpoint}: no down projection named like "
            f"{family.blocks}.0.{family.mlp}.{family.down_projection}.weight; "
            "is the checkpoint complete?"
        )


def project_values(
    checkpoint: Path, direction: np.ndarray, direction_file: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project a checkpoint's value vectors on a unit direction, (d_model,), read from a file.

    Returns components along it, (n_layers, d_mlp); norms of the value vectors, (n_layers, d_mlp);
    components of the down projections' biases, (n_layers,), zero where there are none.
    Raises InputError if the direction has another width than the model's residual stream.
    """
    along, norms, biases = [], [], []
    for values, bias in layers_of_values(checkpoint):
        if values.shape[1] != len(direction):
            raise InputError(
                f"{direction_file}: the direction is {len(direction)} wide, but the residual "
                f"stream of {checkpoint} is {values.shape[1]} wide; set directions.…: {{kind: "
                "file, path: …} to one made for this model"
            )
        along.append(values @ direction)
        norms.append(np.linalg.norm(values, axis=1))
        biases.append(0.0 if bias is None else float(bias @ direction))
    return np.stack(along), np.stack(norms), np.array(biases)


def _files_of_tensors(checkpoint: Path) -> dict[str, Path]:
    index = checkpoint / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{index}: no index of weights can be read from it ({error!r}); fetch the "
                "checkpoint again"
            ) from error
        return {name: checkpoint / file for name, file in names.items()}
    single = checkpoint / "model.safetensors"
    if not single.is_file():
        raise InputError(
            f"{checkpoint}: no model.safetensors in it; load the model with transformers and "
            "save it again with save_pretrained"
        )
    with _opened(single) as tensors:
        return dict.fromkeys(tensors.keys(), single)


def _stored_name(family: Family, layer: int, part: str, files: dict[str, Path]) -> str | None:
    name = f"{family.blocks}.{layer}.{family.mlp}.{family.down_projection}.{part}"
    # Checkpoints saved from the bare model lack the causal model's prefix.
    bare = name.partition(".")[2]
    return next((candidate for candidate in (name, bare) if candidate in files), None)


def _read(file: Path, name: str) -> np.ndarray:
    with _opened(file) as tensors:
        tensor = tensors.get_tensor(name)
    if tensor.dtype not in NUMBER_FORMATS:
        raise InputError(
            f"{file}: {name} holds {tensor.dtype} codes of a quantised model, which are no value "
            "vectors; use the checkpoint before quantisation"
        )
    return tensor.to(torch.float64).numpy()


def _opened(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{file}: cannot be read ({error}); the file is damaged or missing, fetch or make "
            "the checkpoint again"
        ) from error
