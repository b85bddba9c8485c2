"""HDF5 files with checksums throughout: reading detects a flipped bit, as in parquet."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from dpo_neurons.files.output_files import whole_file

INDEX_BYTES = 1 << 20
"""Room for what HDF5 itself writes beside the data; far more than it needs."""


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file in the block, in the first format whose own structures have checksums."""
    with (
        whole_file(path) as partial,
        h5py.File(partial, "w", libver=("v110", "v110"), locking=False) as file,
    ):
        yield file


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    HDF5 would lock the file, which network file systems may not support. No lock is needed here:
    a file is complete before it gets its name and is never changed afterwards.
    """
    return h5py.File(path, "r", locking=False)


def create_dataset(
    file: h5py.File,
    name: str,
    shape: tuple[int, ...],
    number: npt.DTypeLike,
    chunks: tuple[int, ...],
) -> h5py.Dataset:
    """Create a dataset whose chunks have checksums; reading a damaged chunk fails."""
    if 0 in shape:
        return file.create_dataset(name, shape, number)
    return file.create_dataset(name, shape, number, chunks=chunks, fletcher32=True)


def write_array(file: h5py.File, name: str, values: np.ndarray) -> None:
    """Write a small array as one chunk with a checksum."""
    create_dataset(file, name, values.shape, values.dtype, values.shape)[...] = values


def write_attributes(file: h5py.File, attributes: Mapping[str, str]) -> None:
    """Write attributes as texts of fixed length: HDF5 gives only these a checksum."""
    for name, text in attributes.items():
        encoded = text.encode()
        file.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(len(encoded), 1)))


def read_attributes(file: h5py.File) -> dict[str, str]:
    """Read the attributes that `write_attributes` wrote."""
    return {name: bytes(v).decode() for name, v in file.attrs.items() if isinstance(v, np.bytes_)}


def check_free_space(file: h5py.File, n_bytes: int) -> None:
    """Raise OSError unless the disk has room: HDF5 crashes when a disk fills up."""
    if n_bytes + INDEX_BYTES > shutil.disk_usage(Path(file.filename).parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
