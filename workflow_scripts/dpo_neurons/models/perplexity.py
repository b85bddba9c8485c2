"""Perplexity of a text, window by window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.models.batches import run_in_batches
from dpo_neurons.models.decoding import widen
from dpo_neurons.models.tokenization import (
    barred_tokens,
    begins_with,
    check_ids,
    find_added_tokens,
)

TOKENS_AT_ONCE = 4096
"""Most tokens of text in one batch of windows; their logits take more memory than the model."""


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
    before: Callable[[torch.Tensor], None] | None = None,
) -> Perplexity:
    """Score texts in the windows of `split_into_windows`, as `score_windows` does.

    Raises InputError as `split_into_windows` does, and BrokenModelError as `score_windows` does.
    """
    windows = split_into_windows(model, tokenizer, texts, window)
    return score_windows(model, windows, batch_size, before)


def score_windows(
    model: PreTrainedModel,
    windows: Sequence[torch.Tensor],
    batch_size: int,
    before: Callable[[torch.Tensor], None] | None = None,
    start: int = 0,
) -> Perplexity:
    """Score windows of text, ids (length,) each; a window's first token is not scored.

    All windows are of one length, but the last may be shorter. At most `batch_size` are read at a
    time, and fewer where they are long. `before` is shown the ids of each batch before the model
    reads them. start: number of the first window in the text.
    Raises BrokenModelError, with the window's number, if a loss is NaN or infinite.
    """

    def score(batch: Sequence[torch.Tensor]) -> np.ndarray:
        ids_of_batch = torch.stack(list(batch))
        if before is not None:
            before(ids_of_batch)
        return _losses(model, ids_of_batch)

    longest = len(windows[0])
    batch_size = max(1, min(batch_size, TOKENS_AT_ONCE // longest))
    losses, tokens = [], []
    # A shorter last window is read alone.
    whole = [ids for ids in windows if len(ids) == longest]
    for alike in (whole, windows[len(whole) :]):
        for _, summed in run_in_batches(alike, batch_size, score, "scoring windows"):
            losses.append(summed)
            tokens.append(np.full(len(summed), len(alike[0]) - 1))
    measured = Perplexity(np.concatenate(losses), np.concatenate(tokens))
    broken = np.flatnonzero(~np.isfinite(measured.losses))
    if len(broken):
        raise BrokenModelError(f"the loss of text window {start + broken[0]} is NaN or infinite")
    return measured


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


def _losses(model: PreTrainedModel, ids: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        # Keys and values of so much text may take more memory than the model.
        logits = model(input_ids=ids.to(model.device), use_cache=False).logits
        if barred := barred_tokens(model):
            logits[..., barred] = -torch.inf
        targets = ids[:, 1:].to(logits.device)
        # Window by window: all at once would make several copies of the logits.
        losses = [
            torch.nn.functional.cross_entropy(
                widen(window_logits[:-1]), window_targets, reduction="none"
            ).double()
            for window_logits, window_targets in zip(logits, targets, strict=True)
        ]
    return torch.stack(losses).sum(dim=1).cpu().numpy()
