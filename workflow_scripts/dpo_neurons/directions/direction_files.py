"""Directions in the residual stream, and the safetensors files that hold them.

A direction is one or more unit rows, (k, d_model). A file holds them as the tensor `direction`,
float32; its metadata say how they were made.
"""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import describe_unreadable
from dpo_neurons.files.output_files import whole_file

CHECKSUM = "crc32"
"""Key of the metadata that holds a checksum of the rows; the format itself has none."""
LENGTHS = "lengths"
"""Key of the metadata that holds the length of each vector before it was scaled to 1."""


def scale_to_unit_rows(vectors: np.ndarray, where: Path | str = "direction") -> np.ndarray:
    """Scale vectors, (d_model,) or (k, d_model), to unit rows, (k, d_model) float64.

    where: what the vectors come from, for the error message.
    Raises InputError for a vector that is empty, zero or not finite.
    """
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    if rows.ndim != 2 or rows.size == 0:
        raise InputError(f"{where}: numbers of shape {rows.shape} are no vectors; give one or more")
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise InputError(
            f"{where}: a vector is zero or holds NaN or infinite numbers, so it has no direction; "
            "make it again"
        )
    # Scaling by a power of two changes no digit, and then squares neither overflow nor vanish.
    _, exponents = np.frexp(np.abs(rows).max(axis=1, keepdims=True))
    rows = np.ldexp(rows, -exponents)
    unit_rows: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit_rows


def measure_lengths(vectors: np.ndarray) -> np.ndarray:
    """Measure vectors, (k, d_model), none of zeros: (k,) float64."""
    largest = np.abs(vectors).max(axis=1)  # so that squares neither overflow nor vanish
    lengths: np.ndarray = largest * np.linalg.norm(vectors / largest[:, None], axis=1)
    return lengths


def orthonormal_rows(rows: np.ndarray) -> np.ndarray:
    """The Gram-Schmidt basis of rows, (k, d_model), of the same shape.

    Row j of the basis is what row j has outside the span of the rows before it, scaled to length 1.
    It is computed as a QR decomposition whose signs are corrected.
    """
    q, r = np.linalg.qr(np.asarray(rows, dtype=np.float64).T)
    basis: np.ndarray = (q * np.where(np.diagonal(r) < 0, -1.0, 1.0)).T
    return basis


def write_direction(
    path: Path, vectors: np.ndarray, how: dict[str, str], lengths: np.ndarray | None = None
) -> None:
    """Write vectors, (d_model,) or (k, d_model), as unit rows.

    how: metadata that say how the direction was made; the vectors' lengths are added. lengths:
    (k,), by default those of `vectors`. The same direction and metadata always give the same bytes.
    Raises InputError as `scale_to_unit_rows` does.
    """
    rows = scale_to_unit_rows(vectors).astype("<f4")
    tensor = {"dtype": "F32", "shape": rows.shape, "data_offsets": [0, rows.nbytes]}
    if lengths is None:
        lengths = measure_lengths(np.atleast_2d(np.asarray(vectors, dtype=np.float64)))
    nine_digits = [float(f"{length:.9g}") for length in lengths]
    metadata = {**how, LENGTHS: json.dumps(nine_digits), CHECKSUM: _checksum(rows)}
    # The safetensors library would write the metadata in random order.
    header = json.dumps({"__metadata__": metadata, "direction": tensor}, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    with whole_file(path) as partial:
        partial.write_bytes(len(header).to_bytes(8, "little") + header + rows.tobytes())


def list_rounded(numbers: Iterable[float]) -> str:
    """List numbers for the metadata, six digits after the point each."""
    return json.dumps([round(float(number), 6) for number in numbers])


def read_direction(path: Path) -> np.ndarray:
    """Read a direction file: unit rows, (k, d_model) float64.

    Raises InputError if the file is damaged or holds no such tensor.
    """
    return scale_to_unit_rows(read_stored_rows(path), path)


def read_stored_rows(path: Path) -> np.ndarray:
    """Read the rows of a direction file as they are stored, (k, d_model) float32.

    Raises InputError as `read_direction` does.
    """
    try:
        with safe_open(path, framework="np") as tensors:
            rows: np.ndarray = tensors.get_tensor("direction")
            metadata = tensors.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise describe_unreadable(path, error, "the tensor 'direction'") from error
    if metadata.get(CHECKSUM, _checksum(rows)) != _checksum(rows):
        raise InputError(f"{path}: damaged, its checksum is another; delete it and run again")
    return rows


def read_lengths(path: Path) -> list[float]:
    """Read how long the vectors of a direction file were before they were scaled to length 1.

    A probe has the length of its weight vector, for example, and a value vector its own.
    Raises InputError as `read_direction` does, and if the file does not say it.
    """
    read_stored_rows(path)
    with safe_open(path, framework="np") as tensors:
        metadata = tensors.metadata() or {}
    if LENGTHS not in metadata:
        raise InputError(f"{path}: does not say how long its vectors were; delete it and run again")
    return [float(length) for length in json.loads(metadata[LENGTHS])]


def _checksum(rows: np.ndarray) -> str:
    return f"{zlib.crc32(rows.tobytes()):08x}"
