"""What the rules ask about the machine and the models: GPUs to schedule on, sizes to budget for."""

import os
from pathlib import Path


def visible_gpus() -> int:
    """Number of NVIDIA GPUs that jobs started here may use.

    CUDA_VISIBLE_DEVICES limits them; in a Slurm job that has none of it there is none.
    """
    present = len(list(Path("/dev").glob("nvidia[0-9]*")))
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        # Slurm names the GPUs of a job that asked for some; the node's others are not this job's.
        return 0 if "SLURM_JOB_ID" in os.environ else present
    return min(present, len([one for one in allowed.split(",") if one.strip()]))


def checkpoint_mb(checkpoint: str) -> int:
    """Size of a checkpoint's weights in MB; 0 as long as it has not been made or fetched."""
    return _size_mb(checkpoint, "*.safetensors")


def old_weights_mb(checkpoint: str) -> int:
    """Size of a checkpoint's weights in PyTorch's own format, in MB."""
    return _size_mb(checkpoint, "pytorch_model*.bin")


def _size_mb(checkpoint: str, pattern: str) -> int:
    return sum(file.stat().st_size for file in Path(checkpoint).glob(pattern)) // 1_000_000
