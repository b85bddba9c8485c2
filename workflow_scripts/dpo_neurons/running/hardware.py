"""Facts for the resources of rules: numbers of GPUs, memory of models."""

import json
import os
from pathlib import Path
from typing import Any

NUMBER_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number in each format."""


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


def model_mb(checkpoint: str, dtype: str) -> int:
    """Return the memory in MB of a checkpoint's weights in a number format; 0 until it is made."""
    return checkpoint_mb(checkpoint) * NUMBER_BYTES[dtype] // stored_bytes(checkpoint)


def stored_bytes(checkpoint: str) -> int:
    """Return the bytes of a number as a checkpoint stores it; 4 until it is made."""
    described = _read_config(checkpoint)
    stored = described.get("dtype") or described.get("torch_dtype") or "float32"
    return NUMBER_BYTES.get(str(stored), 4)


def logits_mb(checkpoint: str, tokens: int, dtype: str) -> int:
    """Return the memory in MB of the logits of so many tokens; 0 until the checkpoint is made."""
    described = _read_config(checkpoint)
    text_config = described.get("text_config")
    inner = text_config if isinstance(text_config, dict) else {}
    vocabulary = _count(described, "vocab_size") or _count(inner, "vocab_size")
    return tokens * vocabulary * NUMBER_BYTES[dtype] // 1_000_000


def softens_logits(checkpoint: str) -> bool:
    """Return whether a model bounds its logits, as Gemma 2 does, which takes a second copy."""
    return bool(_read_config(checkpoint).get("final_logit_softcapping"))


def width_of_stream(checkpoint: str) -> int:
    """Return the width of a checkpoint's residual stream; 0 until the checkpoint is made."""
    described = _read_config(checkpoint)
    return _count(described, "hidden_size") or _count(described, "n_embd")


def count_layers(checkpoint: str) -> int:
    """Return the number of a checkpoint's layers; 0 until the checkpoint is made."""
    described = _read_config(checkpoint)
    return _count(described, "num_hidden_layers") or _count(described, "n_layer")


def keys_values_per_token(checkpoint: str) -> int:
    """Return how many numbers a checkpoint's layers keep of each token; 0 until it is made."""
    described = _read_config(checkpoint)
    n_heads = _count(described, "num_attention_heads") or _count(described, "n_head")
    width = _count(described, "head_dim") or width_of_stream(checkpoint) // max(1, n_heads)
    heads_kept = _count(described, "num_key_value_heads") or n_heads
    return 2 * count_layers(checkpoint) * width * heads_kept


def embedding_mb(checkpoint: str, dtype: str) -> int:
    """Return the memory in MB of a checkpoint's token embedding; 0 until the checkpoint is made."""
    return logits_mb(checkpoint, width_of_stream(checkpoint), dtype)


def _read_config(checkpoint: str) -> dict[str, Any]:
    """Read what a checkpoint says of itself; nothing until it is made, or where it is damaged."""
    try:
        described: Any = json.loads((Path(checkpoint) / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}  # the job that reads it names the fault
    return described if isinstance(described, dict) else {}


def _count(described: dict[str, Any], key: str) -> int:
    """Return the whole number under a key; 0 where there is none."""
    value = described.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _size_mb(checkpoint: str, pattern: str) -> int:
    return sum(file.stat().st_size for file in Path(checkpoint).glob(pattern)) // 1_000_000
