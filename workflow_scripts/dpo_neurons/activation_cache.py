"""Activation caches: HDF5 files with the mean and per-prompt activations of one checkpoint."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.output_files import whole_file

log = logging.getLogger("dpo_neurons")

DATASETS = ("mean", "per_prompt", "tokens", "mask", "mlp_output", "residual")
CROSSED_DATASETS = ("mean", "mean_same_text", "tokens", "mask")
"""What a cache of crossed activations holds: means alone."""

MEANS = {"activations": "mean", "outputs": "mlp_output", "same_text": "mean_same_text"}
"""Dataset that the mean over all counted positions of what was summed goes to."""
PER_PROMPT = {"activations": ("per_prompt", np.float16), "residuals": ("residual", np.float32)}
"""Dataset that each prompt's own mean goes to, and its format."""
INDEX_BYTES = 1 << 20
"""Room for what HDF5 itself writes beside the data; far more than it needs."""


class CacheWriter:
    """Takes batches of sums and counts as they are captured; closes to means."""

    def __init__(
        self,
        file: h5py.File,
        n_prompts: int,
        n_tokens: int,
        batch_size: int,
        owner: str,
        means_only: bool,
    ) -> None:
        self._file = file
        self._owner = owner
        self._shape = (n_prompts, n_tokens, batch_size)
        self._per_prompt = {} if means_only else PER_PROMPT
        self._totals: dict[str, np.ndarray] = {}
        self._count = 0

    def add(
        self, start: int, tokens: np.ndarray, mask: np.ndarray, sums: Mapping[str, np.ndarray]
    ) -> None:
        """Add the batch of prompts from index `start` on.

        tokens, mask: (batch, n_tokens). sums: (n_layers, batch, width) each, over the positions
        that `mask` counts, by name as in MEANS and PER_PROMPT.
        Raises InputError for sums that are NaN or infinite.
        """
        if not self._totals:
            self._create(sums)
        for name, each in sums.items():
            finite = np.isfinite(each).all(axis=2)
            if not finite.all():
                layer, row = np.argwhere(~finite)[0]
                raise InputError(
                    f"{self._owner}: {name} of layer {layer} are NaN or infinite for prompt "
                    f"{start + row}; the weights are damaged or overflow, so fetch the checkpoint "
                    "again or set models.….dtype to float32 or bfloat16"
                )
        counts = mask.sum(axis=1)
        self._file["tokens"][start : start + len(tokens)] = tokens
        self._file["mask"][start : start + len(tokens)] = mask
        for name, (dataset, number) in self._per_prompt.items():
            means = sums[name] / np.maximum(counts, 1)[None, :, None]
            means = _clipped(dataset, means, number)
            self._file[dataset][start : start + len(tokens)] = means.transpose(1, 0, 2)
        for name, total in self._totals.items():
            total += sums[name].sum(axis=1, dtype=np.float64)
        self._count += int(counts.sum())

    def close(self) -> None:
        """Write the means over all counted positions.

        Raises InputError if no position was counted.
        """
        if self._count == 0:
            raise InputError(
                f"{self._owner}: the model ended every prompt at once, so there is nothing "
                "to average; check that data.challenge_prompts holds unfinished texts and that "
                "the tokenizer belongs to the model"
            )
        for name, total in self._totals.items():
            self._file[MEANS[name]] = (total / self._count).astype(np.float32)

    def _create(self, sums: Mapping[str, np.ndarray]) -> None:
        n_prompts, n_tokens, batch_size = self._shape
        shapes = {name: (len(each), each.shape[2]) for name, each in sums.items()}
        means = [name for name in MEANS if name in shapes]
        n_bytes = 5 * n_prompts * n_tokens + INDEX_BYTES
        n_bytes += sum(4 * np.prod(shapes[name]) for name in means)
        for name, (_, number) in self._per_prompt.items():
            n_bytes += np.dtype(number).itemsize * n_prompts * np.prod(shapes[name])
        if n_bytes > shutil.disk_usage(Path(self._file.filename).parent).free:
            # Asked beforehand, because HDF5 crashes when the disk fills up under it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Plain chunks: float16 activations hardly compress and a layer is read in one sweep.
        for name, (dataset, number) in self._per_prompt.items():
            chunks = (min(batch_size, n_prompts), 1, shapes[name][1])
            self._file.create_dataset(dataset, (n_prompts, *shapes[name]), number, chunks=chunks)
        self._file.create_dataset("tokens", (n_prompts, n_tokens), np.int32)
        self._file.create_dataset("mask", (n_prompts, n_tokens), bool)
        self._totals = {name: np.zeros(shapes[name]) for name in means}


def _clipped(dataset: str, means: np.ndarray, number: type[np.floating]) -> np.ndarray:
    """Means, (n_layers, batch, width), in a narrower format; beyond its range, its largest."""
    largest = float(np.finfo(number).max)
    beyond = int((np.abs(means) > largest).sum())
    if beyond:
        log.warning(
            "%s: %d means exceed %s and are stored as ±%g",
            dataset, beyond, np.dtype(number).name, largest,
        )  # fmt: skip
        means = np.clip(means, -largest, largest)
    return means.astype(number)


@contextmanager
def new_cache(
    path: Path,
    n_prompts: int,
    n_tokens: int,
    batch_size: int,
    attributes: dict[str, str],
    means_only: bool = False,
) -> Iterator[CacheWriter]:
    """Write a cache in the block; it appears at `path` when the block ends well.

    attributes: model, revision (the checkpoint that the activations are of), dtype, positions and
    versions. means_only: no prompt's own means, and no MLP outputs.
    """
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        model = f"models.{attributes['model']}"
        writer = CacheWriter(file, n_prompts, n_tokens, batch_size, model, means_only)
        yield writer
        writer.close()
        file.attrs.update(attributes)


@contextmanager
def open_cache(path: Path, datasets: Sequence[str] = DATASETS) -> Iterator[h5py.File]:
    """Open a cache for reading; it has to hold `datasets`.

    Raises InputError if the file is damaged or lacks a dataset.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5 ({error}); delete it and run again"
        ) from error
    with file:
        missing = [name for name in datasets if name not in file]
        if missing:
            raise InputError(f"{path}: lacks the dataset {missing[0]!r}; delete it and run again")
        yield file
