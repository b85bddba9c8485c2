"""Perplexity of a text, window by window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.models.batches import limit_tokens, run_in_batches
from dpo_neurons.models.decoding import widen
from dpo_neurons.models.tokenization import (
    barred_tokens,
    begins_with,
    check_ids,
    find_added_tokens,
)

PROGRESS = "scoring windows"
"""Title of the progress bar."""


@dataclass(frozen=True)
class Perplexity:
    """Negative log-likelihoods by window; the first token of a window has none."""

    losses: np.ndarray
    """(n_windows,) summed negative log-likelihood of a window's scored tokens, in nats."""
    tokens: np.ndarray
    """(n_windows,) number of scored tokens."""

    @property
    def log_perplexity(self) -> float:
        """Mean negative log-likelihood of the scored tokens, in nats."""
        return float(self.losses.sum() / self.tokens.sum())

    @property
    def perplexity(self) -> float:
        """Exponential of the log-perplexity."""
        return float(np.exp(self.log_perplexity))


def measure_perplexity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    window: int,
    batch_size: int,
) -> Perplexity:
    """Score texts in the windows of `split_into_windows`; a window's first token is not scored.

    At most `batch_size` windows are read at a time, and fewer where they are long.
    Raises InputError as `split_into_windows` does, and BrokenModelError as `check_losses` does.
    """

    def score(batch: Sequence[torch.Tensor]) -> np.ndarray:
        ids = torch.stack(list(batch)).to(model.device)
        return sum_losses(predict(model, ids), ids)

    windows = split_into_windows(model, tokenizer, texts, window)
    whole = count_whole(windows)
    losses = []
    for alike in (windows[:whole], windows[whole:]):
        size = limit_tokens(batch_size, len(windows[0]), model.device)
        losses += [of_batch for _, of_batch in run_in_batches(alike, size, score, PROGRESS)]
    measured = np.concatenate(losses)
    check_losses(measured)
    return Perplexity(measured, np.array([len(ids) - 1 for ids in windows]))


def count_whole(windows: Sequence[torch.Tensor]) -> int:
    """Count the windows that are as long as the first; a shorter last one is read alone."""
    return sum(len(ids) == len(windows[0]) for ids in windows)


def predict(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits after each token of windows: (n_windows, length, vocabulary)."""
    with torch.inference_mode():
        # Keys and values of so much text may take more memory than the model.
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        if barred := barred_tokens(model):
            logits[..., barred] = -torch.inf
    return logits


def sum_losses(logits: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    """Sum negative log-likelihoods of windows' tokens but the first, in nats: (n_windows,) float64.

    logits: (n_windows, length, vocabulary). ids: (n_windows, length).
    """
    targets = ids[:, 1:].to(logits.device)
    # Window by window: all at once would make several copies of the logits.
    losses = [
        torch.nn.functional.cross_entropy(
            widen(window_logits[:-1]), window_targets, reduction="none"
        ).double()
        for window_logits, window_targets in zip(logits, targets, strict=True)
    ]
    return torch.stack(losses).sum(dim=1).cpu().numpy()


def check_losses(losses: np.ndarray, start: int = 0) -> None:
    """Raise BrokenModelError, with the window's number, if a window's loss is NaN or infinite.

    start: number of the first window in the text.
    """
    broken = np.flatnonzero(~np.isfinite(losses))
    if len(broken):
        raise BrokenModelError(f"the loss of text window {start + broken[0]} is NaN or infinite")


def split_into_windows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], window: int
) -> list[torch.Tensor]:
    """Join texts by blank lines and split them into windows of `window` tokens: ids, (length,).

    Windows do not overlap; the last one may be shorter. Where the tokenizer begins texts with a
    token of its own, each window does too, as part of its length. Models such as Gemma are lost
    without it.
    Raises InputError if the window is longer than the model allows, the text shorter than two
    tokens, or the model lacks one of its tokens.
    """
    longest = model.config.max_position_embeddings
    if window > longest:
        raise InputError(
            f"perplexity.window: {window} tokens, but the model reads at most {longest}; lower it"
        )
    ids = tokenizer(
        "\n\n".join(texts), return_tensors="pt", add_special_tokens=False, verbose=False
    )["input_ids"][0]
    beginning, _ = find_added_tokens(tokenizer)
    begin = torch.tensor(beginning, dtype=torch.long)
    if begins_with(ids.tolist(), beginning):
        ids = ids[len(beginning) :]
    check_ids(model, tokenizer, [beginning, ids.tolist()])
    if len(begin) + len(ids) < 2:
        raise InputError("perplexity_text: shorter than two tokens; give more text")
    width = window - len(begin)
    windows = [torch.cat([begin, part]) for part in ids.split(width)]
    # A last window of one token has none to score.
    return [part for part in windows if len(part) > 1]
