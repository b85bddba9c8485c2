"""Leases of GPUs by file locks: each job holds GPUs of its own.

Snakemake counts GPUs but does not say which ones a job may use. The kernel releases a lock when
its process ends, so a job that dies never blocks a GPU.
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
def lease_device(device: str) -> Iterator[str]:
    """Yield one torch device for the block, as `lease_devices` does."""
    with lease_devices(device, 1) as (leased,):
        yield leased


@contextmanager
def lease_devices(device: str, gpus: int) -> Iterator[list[str]]:
    """Yield torch devices for the block: ["cpu"], or CUDA devices of its own.

    device: "auto" (GPUs if this machine has any), "cpu" or "cuda". gpus: how many to lease. Waits
    until that many are free at once.
    Raises InputError for "cuda" on a machine without GPUs, and for more GPUs than it has.
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
            f"models.….gpus is {gpus}, but this machine has {len(gpus_here)}; lower it, or use a "
            "machine with more GPUs"
        )
    locks = [Path(tempfile.gettempdir()) / f"dpo-neurons-gpu-{gpu}.lock" for gpu in gpus_here]
    with lease_locks(locks, gpus) as indices:
        leased = [gpus_here[index] for index in indices]
        # Set before CUDA starts: nothing in this process, such as trl's trainer, sees other GPUs.
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(leased)
        for gpu in leased:
            log.info("device %s", gpu)
        yield [f"cuda:{number}" for number in range(gpus)]


def visible_gpu_ids() -> list[str]:
    """Return identifiers of the NVIDIA GPUs that CUDA_VISIBLE_DEVICES allows.

    Without that variable all GPUs are allowed, but none in a Slurm job: Slurm sets it for every
    job that has GPUs. The identifiers come from nvidia-smi, because asking CUDA would fix which
    GPUs this process sees.
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
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    known = [name for name in names if name in ids or name.startswith(("GPU-", "MIG-"))]
    return [ids.get(name, name) for name in known]


@contextmanager
def lease_locks(paths: list[Path], count: int) -> Iterator[list[int]]:
    """Lock the first `count` lock files that are free; yield their indices.

    While fewer are free, it locks none and waits. Two jobs that need several locks therefore never
    wait for each other.
    """
    while True:
        with ExitStack() as held:
            indices = []
            for index, path in enumerate(paths):
                descriptor = _open_lock(path)
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


def _open_lock(path: Path) -> int:
    # Another user's lock file can be opened for reading and locked, but not created.
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
