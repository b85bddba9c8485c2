"""A GPU for each job: Snakemake counts GPUs but hands out no ids, so jobs lease them by file lock.

The kernel drops a lock with its process, so a job that dies never blocks a GPU.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dpo_neurons.errors import InputError

log = logging.getLogger("dpo_neurons")

POLL_SECONDS = 1.0


@contextmanager
def leased_device(device: str) -> Iterator[str]:
    """Yield one torch device for the block; see `leased_devices`."""
    with leased_devices(device, 1) as (leased,):
        yield leased


@contextmanager
def leased_devices(device: str, gpus: int) -> Iterator[list[str]]:
    """Yield torch devices for the block: ["cpu"], or CUDA devices that no other job holds.

    device: "auto" (GPUs where there is one), "cpu" or "cuda"; gpus: how many of them. Waits until
    so many are free at once.
    Raises InputError for "cuda" where there is none, and for more GPUs than there are.
    """
    gpus_here = [] if device == "cpu" else visible_gpu_ids()
    if device == "cuda" and not gpus_here:
        raise InputError(
            "compute.device is cuda, but nvidia-smi lists no GPU here; set it to auto or cpu, "
            "or check the driver"
        )
    if not gpus_here:
        log.info("device cpu")
        yield ["cpu"]
        return
    if gpus > len(gpus_here):
        raise InputError(
            f"models.….gpus is {gpus}, but there are {len(gpus_here)} here; lower it, or run where "
            "there are as many"
        )
    locks = [Path(tempfile.gettempdir()) / f"dpo-neurons-gpu-{gpu}.lock" for gpu in gpus_here]
    with leased_locks(locks, gpus) as indices:
        leased = [gpus_here[index] for index in indices]
        # Before CUDA starts: nothing in this process, trl's trainer included, sees other GPUs.
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(leased)
        for gpu in leased:
            log.info("device %s", gpu)
        yield [f"cuda:{number}" for number in range(gpus)]


def visible_gpu_ids() -> list[str]:
    """Identifiers of the NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves.

    Where it is not set, all of them, but none in a Slurm job: it was given none.
    They are read from nvidia-smi, for asking CUDA would settle which GPUs this process sees.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return []
    ids = dict(line.split(", ") for line in listed.stdout.splitlines())
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [] if "SLURM_JOB_ID" in os.environ else list(ids.values())
    named = [one.strip() for one in allowed.split(",") if one.strip()]
    return [ids.get(one, one) for one in named if one in ids or one.startswith(("GPU-", "MIG-"))]


@contextmanager
def leased_locks(paths: list[Path], count: int) -> Iterator[list[int]]:
    """Hold the first `count` of the lock files that are free; yields their indices.

    All or none: while fewer are free it holds none and waits, so that two takers of several never
    wait for each other.
    """
    while True:
        with ExitStack() as held:
            indices = []
            for index, path in enumerate(paths):
                descriptor = _opened(path)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                except OSError as error:
                    os.close(descriptor)
                    raise InputError(
                        f"{path}: the file system has no locks ({error.strerror}); set TMPDIR to "
                        "a folder on a local disk, where jobs lease their GPUs"
                    ) from error
                held.callback(os.close, descriptor)
                indices.append(index)
                if len(indices) == count:
                    yield indices
                    return
        time.sleep(POLL_SECONDS)


def _opened(path: Path) -> int:
    # Another user's lock file can be opened for reading, and locked, but not created anew.
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
