"""Directions in the residual stream, and the files that hold them."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dpo_neurons.errors import InputError
from dpo_neurons.output_files import whole_file


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors, (d_model,) or (k, d_model), to unit rows, (k, d_model) float64.

    Raises InputError for a vector that is zero or not finite.
    """
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if rows.ndim != 2 or not np.isfinite(norms).all() or not (norms > 0).all():
        raise InputError("direction: a vector is zero, NaN or infinite, so it has no direction")
    return rows / norms


def write_direction(path: Path, vectors: np.ndarray, how: dict[str, str]) -> None:
    """Write vectors as unit rows, float32, with metadata `how` they were made."""
    with whole_file(path) as partial:
        save_file({"direction": unit_rows(vectors).astype(np.float32)}, partial, metadata=how)


def read_direction(path: Path) -> np.ndarray:
    """Read a direction file: unit rows, (k, d_model) float64.

    Raises InputError if the file is damaged or holds no such tensor.
    """
    try:
        with safe_open(path, framework="np") as tensors:
            vectors = tensors.get_tensor("direction")
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: no direction can be read from it ({error}); "
            "it must be a safetensors file with a tensor named 'direction'"
        ) from error
    return unit_rows(vectors)
