"""Batches: the order of texts, and smaller batches when memory runs out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
"""Out-of-memory messages of CUDA's libraries that accelerate does not recognise."""
BatchSize = int | Literal["auto"]
"""How many texts at a time, as `compute.batch_size` has it."""

AUTOMATIC = {"cuda": 256, "cpu": 128}
"""First batch sizes for `compute.batch_size: auto`, by kind of device."""
CONTINUED_ON_CPU = 8192
"""Most tokens of prompts and continuations in a batch with `auto` on a CPU, padding included.

There, a job that takes too much memory is killed before it can halve its batches.
"""
TOKENS_AT_ONCE = {"cuda": 4096, "cpu": 1024}
"""Most tokens of texts that a model reads at once, by kind of device.

More take more memory, and on a CPU no less time a token.
"""


def first_batch_size(asked: BatchSize, device: torch.device) -> int:
    """Choose the size of the first batch: the one asked for, or the device's own.

    On a GPU, `auto` starts above what large models leave room for; `run_in_batches` finds what
    fits.
    """
    return AUTOMATIC[device.type] if asked == "auto" else asked


def limit_tokens(batch_size: int, length: int, device: torch.device) -> int:
    """Limit how many texts of a length in tokens are read at once to TOKENS_AT_ONCE, or to one."""
    return max(1, min(batch_size, TOKENS_AT_ONCE[device.type] // length))


@dataclass(frozen=True)
class TokenLimit:
    """A limit to the tokens of a batch, padding included; a single item may have more."""

    lengths: Sequence[int]
    """Of all items, in tokens."""
    most: int

    def count_fitting(self, start: int, batch_size: int) -> int:
        """Count the items that fit into a batch from `start` on, from one to `batch_size`."""
        longest = accumulate(self.lengths[start : start + batch_size], max)
        return max(1, sum(n * length <= self.most for n, length in enumerate(longest, start=1)))


def run_in_batches(
    items: Sequence[Item],
    batch_size: int,
    run: Callable[[Sequence[Item]], Result],
    progress: str | None = None,
    limit: TokenLimit | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run items in batches: yield each batch's first index and its result, in order.

    When memory runs out, the failed batch and all later ones run at half the size. A batch that was
    yielded never runs again. progress: title of a progress bar. limit: makes batches of long items
    smaller.
    Raises InputError if a single item does not fit.
    """
    start = 0
    with Progress(total=len(items), desc=progress, disable=progress is None) as bar:
        while start < len(items):
            fitting = batch_size if limit is None else limit.count_fitting(start, batch_size)
            batch = items[start : start + fitting]
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
    """Order texts by their lengths in tokens: indices, (n,), the longest first.

    Texts of equal length keep their order. Texts of similar length need little padding, and if the
    first batch fits into memory, all do.
    """
    return np.argsort(-np.asarray(lengths, dtype=int), kind="stable")
