"""Reading a user's direction from a file of PyTorch, NumPy or safetensors."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from dpo_neurons.directions.direction_files import (
    LENGTHS,
    measure_lengths,
    scale_to_unit_rows,
)
from dpo_neurons.errors import InputError

UNIT_WITHIN = 1e-4
"""How far the length of a vector in float32 may be from 1 after it was scaled."""
LISTED = 8
"""Largest number of tensors that an error message lists."""


def read_given_direction(path: Path) -> tuple[np.ndarray, str, np.ndarray]:
    """Read a user's direction: unit rows, (k, d_model) float64, a name, and their lengths, (k,).

    Of a file that the workflow wrote, the lengths are those that it records. The name is that of
    the tensor. The file's ending tells the format. A file of several tensors must have one named
    `direction`, or only one of one or two dimensions that is no bias. The name is empty where the
    format has none. A column, (d_model, 1), is read as a row.
    Raises InputError for a file that is damaged, would run code, or holds anything else.
    """
    if path.suffix in (".pt", ".pth", ".bin"):
        numbers, name = _from_torch(path)
    elif path.suffix == ".npy":
        numbers, name = _from_numpy(path), ""
    elif path.suffix == ".safetensors":
        numbers, name = _from_safetensors(path)
    else:
        raise InputError(
            f"{path}: the ending {path.suffix!r} is not known; give the direction as .pt, .pth, "
            ".bin, .npy or .safetensors"
        )
    rows = _as_rows(numbers, path)
    unit_rows = scale_to_unit_rows(rows, path)
    lengths = measure_lengths(rows)
    recorded = _read_recorded_lengths(path, lengths)
    return unit_rows, name, lengths if recorded is None else recorded


def _read_recorded_lengths(path: Path, lengths: np.ndarray) -> np.ndarray | None:
    """Read the lengths, (k,), that the workflow records of vectors that it scaled; None if none.

    lengths: those of the file's vectors, which are 1 if the workflow wrote them.
    """
    if path.suffix != ".safetensors" or not np.allclose(lengths, 1, rtol=0, atol=UNIT_WITHIN):
        return None
    with safe_open(path, framework="np") as tensors:
        recorded = (tensors.metadata() or {}).get(LENGTHS, "")
    try:
        made_with = np.array(json.loads(recorded), dtype=np.float64)
    except (ValueError, TypeError, RecursionError):  # another program's key of that name
        return None
    is_length = np.isfinite(made_with) & (made_with > 0)
    return made_with if made_with.shape == lengths.shape and is_length.all() else None


def _as_rows(numbers: np.ndarray, path: Path) -> np.ndarray:
    """Turn numbers into rows, (k, d_model); raise InputError for other shapes."""
    if numbers.ndim not in (1, 2):
        raise InputError(
            f"{path}: a direction has one dimension, (d_model,), or two, (k, d_model), but this "
            f"has the shape {numbers.shape}; save only the vectors"
        )
    rows = np.atleast_2d(numbers)
    if rows.shape[1] == 1:
        rows = rows.T
    if rows.shape[0] > rows.shape[1] or rows.shape[1] < 2:
        raise InputError(
            f"{path}: of the shape {numbers.shape}, no row can be a direction in a residual "
            "stream; save vectors as rows, (k, d_model)"
        )
    return rows


def _from_torch(path: Path) -> tuple[np.ndarray, str]:
    import torch

    from dpo_neurons.models.weight_reader import NUMBER_FORMATS

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except Exception as error:  # damaged bytes may make the unpickler raise anything
        raise InputError(
            f"{path}: damaged, or holds pickled objects, which are not read because they could "
            "run code; save the plain tensor again with torch.save"
        ) from error
    name = ""
    if isinstance(content, dict):
        tensors = {
            str(key): tensor for key, tensor in content.items() if isinstance(tensor, torch.Tensor)
        }
        name = _choose({key: tuple(tensor.shape) for key, tensor in tensors.items()}, path)
        content = tensors[name]
    if not isinstance(content, torch.Tensor):
        raise InputError(
            f"{path}: holds {type(content).__name__}, no tensor or dict with one; save the "
            "plain tensor with torch.save"
        )
    is_plain = content.layout == torch.strided and not (content.is_meta or content.is_nested)
    if content.dtype not in NUMBER_FORMATS or not is_plain:
        raise _no_numbers(path, f"a {content.device} {content.layout} tensor of {content.dtype}")
    return content.detach().to(torch.float64).numpy(), name


def _from_numpy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            numbers = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except Exception as error:  # a damaged header, which is Python code, may raise anything
        raise InputError(
            f"{path}: damaged, or no plain array; save the vector again with np.save"
        ) from error
    if numbers.dtype.kind != "f":
        raise _no_numbers(path, f"an array of {numbers.dtype}")
    return numbers.astype(np.float64)


def _from_safetensors(path: Path) -> tuple[np.ndarray, str]:
    try:
        with safe_open(path, framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            name = _choose({key: tuple(part.get_shape()) for key, part in slices.items()}, path)
            stored = slices[name].get_dtype()
            if stored in ("F16", "F32", "F64"):
                return tensors.get_tensor(name).astype(np.float64), name
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read as safetensors ({error}); check the path, or save the vector "
            "again"
        ) from error
    if stored != "BF16":
        raise _no_numbers(path, f"a tensor of {stored}")
    import torch  # NumPy has no bfloat16

    with safe_open(path, framework="pt") as tensors:
        return tensors.get_tensor(name).to(torch.float64).numpy(), name


def _choose(shapes: dict[str, tuple[int, ...]], path: Path) -> str:
    """Choose the tensor that is the direction, by the names and shapes of all of them."""
    if "direction" in shapes:
        return "direction"
    vectors = [
        name
        for name, shape in shapes.items()
        if len(shape) in (1, 2) and name.rpartition(".")[2] != "bias"
    ]
    if len(vectors) == 1:
        return vectors[0]
    listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:LISTED])
    more = ", …" if len(shapes) > LISTED else ""
    raise InputError(
        f"{path}: which tensor is the direction cannot be told (found: {listed or 'none'}{more}); "
        "save it alone, or under the name 'direction'"
    )


def _no_numbers(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: holds {what}, but a direction is a plain array of floating-point numbers; save "
        "it as float32"
    )
