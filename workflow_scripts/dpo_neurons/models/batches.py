"""Batches: the order of texts in them, and halving where a device runs out of memory."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from dpo_neurons.errors import InputError
from dpo_neurons.running.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("dpo_neurons")

FULL = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What CUDA's libraries say of memory that torch did not ask for; accelerate knows the rest."""
AUTOMATIC = {"cuda": 256, "cpu": 32}
"""What batches begin with where the size is left to the program."""


def first_batch_size(asked: int | Literal["auto"], device: torch.device) -> int:
    """Items of the first batch: as many as asked for, or as the kind of device can make use of.

    On a GPU that is more than large models leave room for; `run_in_batches` finds what fits. On
    the CPU memory is not what limits it: more at a time are no faster.
    """
    return AUTOMATIC[device.type] if asked == "auto" else asked


def run_in_batches(
    items: Sequence[Item],
    batch_size: int,
    run: Callable[[Sequence[Item]], Result],
    progress: str | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield each batch's first index and what `run` makes of the batch, in order.

    Where memory does not suffice, the batch that failed is run again at half the size, and so is
    all that follows; nothing is run twice that was yielded. progress names a progress bar.
    Raises InputError if not even a single item fits.
    """
    start = 0
    with Progress(total=len(items), desc=progress, disable=progress is None) as bar:
        while start < len(items):
            batch = items[start : start + batch_size]
            smaller = None
            try:
                result = run(batch)
            except RuntimeError as error:
                smaller = _smaller(error, len(batch))
            if smaller is not None:
                # Out of the except block, where the traceback would keep the failed batch alive.
                clear_device_cache(garbage_collection=True)
                log.info("out of memory with a batch of %d: going on with %d", len(batch), smaller)
                batch_size = smaller
                continue
            yield start, result
            start += len(batch)
            bar.update(len(batch))


def _smaller(error: RuntimeError, size: int) -> int:
    if not (should_reduce_batch_size(error) or any(text in str(error) for text in FULL)):
        raise error
    if size == 1:
        raise InputError(
            "a batch of one does not fit into the device's memory; set compute.device to cpu, give "
            "the model a smaller dtype or more GPUs (models.….gpus), or free the device"
        ) from error
    return size // 2


def order_longest_first(lengths: Sequence[int]) -> np.ndarray:
    """Indices, (n,), of texts by their lengths in tokens, the longest first, equal ones in order.

    Texts of like length need little padding, and if the first batch fits into memory, all do.
    """
    return np.argsort(-np.asarray(lengths, dtype=int), kind="stable")
