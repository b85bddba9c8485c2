"""Activation caches: HDF5 files with the mean and per-prompt activations of one checkpoint."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.output_files import whole_file

log = logging.getLogger("dpo_neurons")

DATASETS = ("mean", "per_prompt", "tokens", "mask", "mlp_output")
INDEX_BYTES = 1 << 20
"""Room for what HDF5 itself writes beside the data; far more than it needs."""
FLOAT16_MAX = float(np.finfo(np.float16).max)


class CacheWriter:
    """Takes batches of sums and counts as they are captured; closes to means."""

    def __init__(
        self, file: h5py.File, n_prompts: int, n_tokens: int, batch_size: int, checkpoint: str
    ) -> None:
        self._file = file
        self._checkpoint = checkpoint
        self._shape = (n_prompts, n_tokens, batch_size)
        self._sums: np.ndarray | None = None
        self._output_sums: np.ndarray | None = None
        self._count = 0

    def add(
        self,
        start: int,
        tokens: np.ndarray,
        mask: np.ndarray,
        sums: np.ndarray,
        output_sums: np.ndarray,
    ) -> None:
        """Add the batch of prompts from index `start` on.

        tokens, mask: (batch, n_tokens). sums: (n_layers, batch, d_mlp) and output_sums:
        (n_layers, batch, d_model), over the positions that `mask` counts.
        Raises InputError for activations that are NaN or infinite.
        """
        if self._sums is None:
            self._create(sums.shape, output_sums.shape)
        finite = np.isfinite(sums).all(axis=2) & np.isfinite(output_sums).all(axis=2)
        if not finite.all():
            layer, row = np.argwhere(~finite)[0]
            raise InputError(
                f"{self._checkpoint}: activations of layer {layer} are NaN or infinite for prompt "
                f"{start + row}; the weights are damaged or overflow, so fetch the checkpoint "
                "again or set models.….dtype to float32 or bfloat16"
            )
        counts = mask.sum(axis=1)
        stop = start + len(tokens)
        means = sums / np.maximum(counts, 1)[None, :, None]
        beyond = int((np.abs(means) > FLOAT16_MAX).sum())
        if beyond:
            log.warning("%d per-prompt means exceed float16 and are stored as ±65504", beyond)
        means = np.clip(means, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)
        self._file["per_prompt"][start:stop] = means.transpose(1, 0, 2)
        self._file["tokens"][start:stop] = tokens
        self._file["mask"][start:stop] = mask
        self._sums += sums.sum(axis=1, dtype=np.float64)
        self._output_sums += output_sums.sum(axis=1, dtype=np.float64)
        self._count += int(counts.sum())

    def close(self) -> None:
        """Write the means over all counted positions.

        Raises InputError if no position was counted.
        """
        if self._count == 0:
            raise InputError(
                f"{self._checkpoint}: the model ended every prompt at once, so there is nothing "
                "to average; check that data.challenge_prompts holds unfinished texts and that "
                "the tokenizer belongs to the model"
            )
        self._file["mean"] = (self._sums / self._count).astype(np.float32)
        self._file["mlp_output"] = (self._output_sums / self._count).astype(np.float32)

    def _create(self, sums: tuple[int, ...], output_sums: tuple[int, ...]) -> None:
        n_prompts, n_tokens, batch_size = self._shape
        n_layers, _, d_mlp = sums
        n_bytes = (
            2 * n_prompts * n_layers * d_mlp
            + 5 * n_prompts * n_tokens
            + 4 * n_layers * (d_mlp + output_sums[2])
            + INDEX_BYTES
        )
        if n_bytes > shutil.disk_usage(Path(self._file.filename).parent).free:
            # Asked beforehand, because HDF5 crashes when the disk fills up under it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Plain chunks: float16 activations hardly compress and a layer is read in one sweep.
        self._file.create_dataset(
            "per_prompt",
            (n_prompts, n_layers, d_mlp),
            np.float16,
            chunks=(min(batch_size, n_prompts), 1, d_mlp),
        )
        self._file.create_dataset("tokens", (n_prompts, n_tokens), np.int32)
        self._file.create_dataset("mask", (n_prompts, n_tokens), bool)
        self._sums = np.zeros((n_layers, d_mlp))
        self._output_sums = np.zeros((n_layers, output_sums[2]))


@contextmanager
def new_cache(
    path: Path, n_prompts: int, n_tokens: int, batch_size: int, attributes: dict[str, str]
) -> Iterator[CacheWriter]:
    """Write a cache in the block; it appears at `path` when the block ends well.

    attributes: model, revision (the checkpoint that the activations are of), dtype, positions and
    versions.
    """
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        writer = CacheWriter(file, n_prompts, n_tokens, batch_size, attributes["revision"])
        yield writer
        writer.close()
        file.attrs.update(attributes)


@contextmanager
def open_cache(path: Path) -> Iterator[h5py.File]:
    """Open a cache for reading.

    Raises InputError if the file is damaged or lacks a dataset.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5 ({error}); delete it and run again"
        ) from error
    with file:
        missing = [name for name in DATASETS if name not in file]
        if missing:
            raise InputError(f"{path}: lacks the dataset {missing[0]!r}; delete it and run again")
        yield file
