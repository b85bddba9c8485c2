"""Facts for the resources of rules: numbers of GPUs, sizes of checkpoints."""

import os
from pathlib import Path


def visible_gpus() -> int:
    """Return the number of NVIDIA GPUs that jobs started here may use.

    CUDA_VISIBLE_DEVICES limits it. It is 0 in a Slurm job without that variable.
    """
    present = len(list(Path("/dev").glob("nvidia[0-9]*")))
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        # Slurm sets the variable for jobs with GPUs; the node's GPUs belong to other jobs.
        return 0 if "SLURM_JOB_ID" in os.environ else present
    return min(present, len([name for name in allowed.split(",") if name.strip()]))


def checkpoint_mb(checkpoint: str) -> int:
    """Return the size of a checkpoint's weights in MB; 0 until it is made or fetched."""
    return _size_mb(checkpoint, "*.safetensors")


def old_weights_mb(checkpoint: str) -> int:
    """Return the size of a checkpoint's weights in PyTorch's own format, in MB."""
    return _size_mb(checkpoint, "pytorch_model*.bin")


def _size_mb(checkpoint: str, pattern: str) -> int:
    return sum(file.stat().st_size for file in Path(checkpoint).glob(pattern)) // 1_000_000
