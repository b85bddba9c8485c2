"""Activation caches: HDF5 files of one checkpoint's mean activations."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import describe_unreadable
from dpo_neurons.files.hdf5 import (
    check_free_space,
    create_dataset,
    new_hdf5,
    open_hdf5,
    read_attributes,
    write_array,
    write_attributes,
)

DATASETS = ("mlp_post_mean", "mlp_post", "tokens", "mask", "mlp_out_mean", "resid_post")
CROSSED_DATASETS = ("mlp_post_mean", "mlp_post_same_text_mean", "tokens", "mask")
"""Datasets of a cache of crossed activations, whose neurons have means alone."""
STREAM_DATASETS = (
    "resid_pre", "attn_z_mean", "attn_z_normed", "attn_z_normed_mean", "mlp_written_mean",
)  # fmt: skip
"""Further datasets of a checkpoint's cache: what each part writes into the residual stream."""
SAME_TEXT_DATASETS = (
    "resid_pre_same_text", "attn_z_normed_same_text", "attn_z_normed_same_text_mean",
    "mlp_written_same_text_mean", "resid_post_same_text",
)  # fmt: skip
"""The same of a cache of crossed activations, where the second model reads the first one's text."""
MEANS = {
    "mlp_post": "mlp_post_mean",
    "mlp_out": "mlp_out_mean",
    "attn_z": "attn_z_mean",
    "attn_z_normed": "attn_z_normed_mean",
    "mlp_written": "mlp_written_mean",
    "mlp_post_crossed": "mlp_post_mean",
    "mlp_post_same_text": "mlp_post_same_text_mean",
    "attn_z_normed_same_text": "attn_z_normed_same_text_mean",
    "mlp_written_same_text": "mlp_written_same_text_mean",
}
"""The cache's dataset for the mean of each summed quantity over all counted positions."""
PER_PROMPT: dict[str, type[np.floating[Any]]] = {
    "mlp_post": np.float16,
    "resid_pre": np.float32,
    "attn_z_normed": np.float16,
    "resid_post": np.float32,
    "resid_pre_same_text": np.float32,
    "attn_z_normed_same_text": np.float16,
    "resid_post_same_text": np.float32,
}
"""The summed quantities whose mean of each prompt is a dataset of that name, and its format."""


def gather_pieces(paths: Sequence[Path], path: Path) -> None:
    """Gather pieces into one cache, with rows in the order of the prompts.

    Raises InputError for damaged pieces, for pieces of different captures, and if no position was
    counted.
    """
    with ExitStack() as stack:
        pieces = [stack.enter_context(open_cache(piece_path, ("index",))) for piece_path in paths]
        attributes = _shared_attributes(pieces)
        pieces = [piece for piece in pieces if len(piece["index"])]
        index = np.concatenate([piece["index"][:] for piece in pieces] or [np.zeros(0, int)])
        if not np.array_equal(np.sort(index), np.arange(len(index))):
            raise InputError(
                f"{paths[0]} and the pieces beside it: not of one set of prompts; delete them and "
                "run again"
            )
        count = sum(int(piece.attrs["counted"]) for piece in pieces)
        if count == 0:
            raise InputError(
                f"models.{attributes['model']}: the model generated no token after any prompt, and "
                "nothing can be averaged; check that data.challenge_prompts holds unfinished texts "
                "and that the tokenizer belongs to the model"
            )
        with new_hdf5(path) as file:
            check_free_space(file, sum(Path(piece_path).stat().st_size for piece_path in paths))
            for name in ("tokens", "mask"):
                rows = [piece[name][:] for piece in pieces]
                write_array(file, name, _sort_by_prompt(rows, index))
            for name in PER_PROMPT:
                if name in pieces[0]:
                    _gather_layers(file, name, pieces, index)
            for name in pieces[0]["totals"]:
                total = sum(piece["totals"][name][:] for piece in pieces)
                write_array(file, name, (total / count).astype(np.float32))
            write_attributes(file, attributes)


def _gather_layers(
    file: h5py.File, name: str, pieces: Sequence[h5py.File], index: np.ndarray
) -> None:
    _, n_layers, width = pieces[0][name].shape
    # Not compressed: float16 activations hardly shrink. A chunk is one layer, as it is read later.
    chunks = max(piece[name].chunks for piece in pieces)
    shape = (len(index), n_layers, width)
    gathered = create_dataset(file, name, shape, pieces[0][name].dtype, chunks)
    for layer in range(n_layers):
        gathered[:, layer] = _sort_by_prompt([piece[name][:, layer] for piece in pieces], index)


def _sort_by_prompt(parts: Sequence[np.ndarray], index: np.ndarray) -> np.ndarray:
    """Join the pieces' rows and sort them by prompt; row i belongs to prompt index[i]."""
    return np.concatenate(parts)[np.argsort(index)]


def _shared_attributes(pieces: Sequence[h5py.File]) -> dict[str, str]:
    attributes = [read_attributes(piece) for piece in pieces]
    for piece, own_attributes in zip(pieces, attributes, strict=True):
        for name, value in attributes[0].items():
            if own_attributes.get(name) != value:
                raise InputError(
                    f"{piece.filename}: {name} is {own_attributes.get(name)!r}, but {value!r} in "
                    f"{pieces[0].filename}; delete both and run again, with the same environment "
                    "for all jobs"
                )
    return attributes[0]


@contextmanager
def open_cache(path: Path, datasets: Sequence[str] = DATASETS) -> Iterator[h5py.File]:
    """Open a cache, or a piece of one, that must hold `datasets`, for reading.

    Raises InputError if the file is damaged or lacks a dataset.
    """
    try:
        file = open_hdf5(path)
    except (OSError, RuntimeError) as error:
        raise describe_unreadable(path, error, "HDF5") from error
    with file:
        try:
            missing = [name for name in datasets if name not in file]
        except (OSError, RuntimeError) as error:
            raise describe_unreadable(path, error, "HDF5") from error
        if "per_prompt" in file or "mean" in file:
            raise InputError(
                f"{path}: written by an earlier version, with other names of datasets; delete it "
                "and run again"
            )
        if missing:
            raise InputError(f"{path}: lacks the dataset {missing[0]!r}; delete it and run again")
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:
            # HDF5 does not say which file failed, so the error may come from another open file.
            damage = _first_damage(file)
            if damage is None:
                raise
            raise describe_unreadable(path, damage, "HDF5") from error


@contextmanager
def open_cache_pair(pre: Path, post: Path) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Open the caches of both checkpoints, as `open_cache` does."""
    with open_cache(pre) as before, open_cache(post) as after:
        yield before, after


def _first_damage(file: h5py.File) -> Exception | None:
    """Read all of a file, 64 rows at a time; return the first error, if any."""
    errors: list[Exception] = []

    def read_all(name: str) -> bool | None:
        try:
            member = file[name]
            if isinstance(member, h5py.Dataset):
                for start in range(0, len(member), 64):
                    member[start : start + 64]
        except (OSError, RuntimeError, KeyError) as error:
            errors.append(error)
        return True if errors else None

    try:
        file.visit(read_all)
        dict(file.attrs)
    except (OSError, RuntimeError, KeyError) as error:
        errors.append(error)
    return errors[0] if errors else None
