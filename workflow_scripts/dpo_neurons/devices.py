"""A GPU for each job: Snakemake counts GPUs but hands out no ids, so jobs lease them by file lock.

The kernel drops a lock with its process, so a job that dies never blocks a GPU.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dpo_neurons.errors import InputError

log = logging.getLogger("dpo_neurons")

POLL_SECONDS = 1.0


@contextmanager
def leased_device(wanted: str) -> Iterator[str]:
    """Yield a torch device for the block: "cpu", or a CUDA device that no other job holds.

    wanted: "auto" (a GPU where there is one), "cpu" or "cuda". Waits while all GPUs are leased.
    Raises InputError for "cuda" where there is none.
    """
    count = torch.cuda.device_count()
    if wanted == "cuda" and count == 0:
        raise InputError(
            "compute.device is cuda, but torch sees no GPU here; set it to auto or cpu, "
            "or check the driver with nvidia-smi"
        )
    if wanted == "cpu" or count == 0:
        log.info("device cpu")
        yield "cpu"
        return
    locks = [_lock_path(str(torch.cuda.get_device_properties(i).uuid)) for i in range(count)]
    with leased_lock(locks) as index:
        log.info("device cuda:%d, %s", index, torch.cuda.get_device_name(index))
        yield f"cuda:{index}"


@contextmanager
def leased_lock(paths: list[Path]) -> Iterator[int]:
    """Hold the first of the lock files that is free, waiting for one; yields its index."""
    while True:
        for index, path in enumerate(paths):
            descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            try:
                yield index
                return
            finally:
                os.close(descriptor)
        time.sleep(POLL_SECONDS)


def _opened(path: Path) -> int:
    # Another user's lock file can be opened for reading, and locked, but not created anew.
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)


def _lock_path(uuid: str) -> Path:
    return Path(tempfile.gettempdir()) / f"dpo-neurons-gpu-{uuid}.lock"
