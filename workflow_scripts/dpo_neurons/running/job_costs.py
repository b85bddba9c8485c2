"""Estimates of what a job that runs a model takes, before it runs: memory and minutes."""

from pathlib import Path

from dpo_neurons.running.hardware import (
    NUMBER_BYTES,
    checkpoint_mb,
    count_layers,
    keys_values_per_token,
    logits_mb,
    softens_logits,
    stored_bytes,
    width_of_stream,
)

BYTES_PER_TOKEN = 4
"""Of a file of texts: English has about as many, and JSON adds its keys."""
CPU_FLOPS = {"float64": 25e9, "float32": 60e9, "bfloat16": 10e9, "float16": 10e9}
"""Floating-point operations a second of a thread, by the model's number format."""
GPU_FLOPS = 2e12
"""Of a GPU that reads batches of prompts: far below what data-centre GPUs reach in theory."""
SLOWER = 3
"""How many times slower a machine may be."""
LEAST_MINUTES = 15
"""For imports, and for checkpoints on a slow file system."""
COPIES_OF_STREAM = 16
"""How many times the residual stream's numbers a block takes while it reads, its neurons' too."""
BATCH_ON_CPU = 128
"""Prompts in a batch with `auto` on a CPU, as in `dpo_neurons.models.batches`."""
CONTINUED_ON_CPU = 8192
"""Most tokens of prompts and continuations in such a batch, as there."""
TOKENS_AT_ONCE = 1024
"""Most tokens of texts that a model reads at once on a CPU, as there."""


def count_rows(path: str) -> int:
    """Count the lines of a file of texts; 0 until it is made."""
    if not Path(path).is_file():
        return 0
    with Path(path).open("rb") as lines:
        return sum(1 for _ in lines)


def count_tokens(path: str) -> int:
    """Estimate the tokens of a file of texts by its size; 0 until it is made."""
    return Path(path).stat().st_size // BYTES_PER_TOKEN if Path(path).is_file() else 0


def count_weights(checkpoint: str) -> int:
    """Count the weights that a checkpoint stores; 0 until it is made."""
    return checkpoint_mb(checkpoint) * 1_000_000 // stored_bytes(checkpoint)


def reading_minutes(weights: int, tokens: float, dtype: str, threads: int, gpus: int) -> int:
    """Estimate the minutes in which a model reads or generates so many tokens.

    Each token takes two operations a weight.
    """
    speed = GPU_FLOPS if gpus else threads * CPU_FLOPS[dtype]
    return LEAST_MINUTES + int(SLOWER * 2 * weights * tokens / speed / 60)


def activations_mb(checkpoint: str, tokens: float, dtype: str) -> int:
    """Return the memory in MB of a block that reads so many tokens at once; 0 until it is made."""
    numbers = COPIES_OF_STREAM * width_of_stream(checkpoint) * tokens
    return int(numbers * NUMBER_BYTES[dtype]) // 1_000_000


def keys_values_mb(checkpoint: str, tokens: float, dtype: str) -> int:
    """Return the memory in MB of so many tokens' keys and values; 0 until it is made."""
    return int(keys_values_per_token(checkpoint) * tokens * NUMBER_BYTES[dtype]) // 1_000_000


def captured_mb(checkpoint: str, n_prompts: int) -> int:
    """Return the memory in MB of what a capture sums of so many prompts; 0 until it is made.

    In each layer it sums neurons, heads and stream in float32, and may hold their newest values
    too. Together they take about as much as a block that reads a token.
    """
    numbers = COPIES_OF_STREAM * width_of_stream(checkpoint) * count_layers(checkpoint) * n_prompts
    return int(numbers * NUMBER_BYTES["float32"]) // 1_000_000


def window_logits_mb(checkpoint: str, window: int, dtype: str) -> int:
    """Return the memory in MB of all logits of a job that reads windows of text.

    Windows are read in batches, and scored one by one from log-probabilities in float32 or wider.
    For faithfulness, those of two unchanged models are kept meanwhile. 0 until the checkpoint is
    made.
    """
    wide = "float64" if dtype == "float64" else "float32"
    at_once = max(1, TOKENS_AT_ONCE // window)
    logits = at_once * logits_mb(checkpoint, window, dtype)
    log_probabilities = logits_mb(checkpoint, window, wide)
    widened = 0 if dtype == wide else log_probabilities
    reading = logits * (2 if softens_logits(checkpoint) else 1)
    scoring = logits + widened + log_probabilities
    # The second unchanged model's are being made from its logits.
    comparing = logits + at_once * widened
    return 2 * at_once * log_probabilities + max(reading, scoring, comparing)
