"""Generation: many prompts continued in batches, by a model as it is or changed in several ways."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.batches import (
    CONTINUED_ON_CPU,
    BatchSize,
    TokenLimit,
    first_batch_size,
    run_in_batches,
)
from dpo_neurons.models.decoding import (
    TokenObserver,
    decode_greedily,
    end_tokens,
    read_beginnings,
)
from dpo_neurons.models.sampling import Sampler
from dpo_neurons.models.tokenization import (
    check_ids,
    choose_padding,
    count_vocabulary,
    pad_rows,
    tokenize_texts,
)


@dataclass(frozen=True)
class Continuations:
    """The continuations of one batch of prompts, in the prompts' order."""

    start: int
    """Index of the batch's first prompt."""
    tokens: np.ndarray
    """(batch, n_tokens) int32; after an end-of-sequence token there is padding."""
    mask: np.ndarray
    """(batch, n_tokens) bool; True for generated tokens before the end of the sequence."""


@dataclass(frozen=True)
class Run:
    """One way to continue prompts: under a change of the model, watched, or by sampling."""

    changed: Callable[[], AbstractContextManager[None]] = nullcontext
    """Makes a block in which the model is changed."""
    changes_newest_only: bool = False
    """Whether the change leaves all tokens of a forward pass as they are but the newest."""
    observer: TokenObserver | None = None
    sampler: Sampler | None = None
    """Samples tokens in place of the most likely ones."""


def generate_greedily(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
    observer: TokenObserver | None = None,
    progress: str | None = "generating",
) -> Iterator[Continuations]:
    """Continue each prompt by up to `n_tokens` tokens, batch by batch.

    progress: title of a progress bar.
    Raises InputError for a prompt that is too long for the model or has a token that it lacks, and
    BrokenModelError as `decode_greedily` does.
    """
    run = Run(observer=observer)
    for (batch,) in generate_each([run], model, tokenizer, prompts, n_tokens, batch_size, progress):
        yield batch


def generate_each(
    runs: Sequence[Run],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
    progress: str | None = "generating",
) -> Iterator[list[Continuations]]:
    """Continue each prompt in each of several ways, batch by batch: a list with one for each run.

    Runs that change the newest token alone share what the model reads before a prompt's last token.
    Raises as `generate_greedily` does.
    """
    if not prompts:
        return  # as in an empty piece; tokenizers refuse an empty list
    pad = choose_padding(tokenizer, count_vocabulary(model))
    rows = tokenize_texts(tokenizer, prompts)
    check_ids(model, tokenizer, rows)
    lengths = [len(row) + n_tokens for row in rows]
    _check_length(model, max(lengths) - 1 + any(map(_reads_last_token, runs)))
    limit = None
    if batch_size == "auto" and model.device.type == "cpu":
        limit = TokenLimit(lengths, CONTINUED_ON_CPU)

    def continue_batch(batch: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        padded = pad_rows([rows[index] for index in batch], pad, "left")
        ids, mask = (part.to(model.device) for part in padded)
        beginnings = None
        if any(run.changes_newest_only for run in runs):
            beginnings = read_beginnings(model, ids, mask)
        return [continue_by(run, batch, ids, mask, beginnings) for run in runs]

    def continue_by(
        run: Run, batch: Sequence[int], ids: Tensor, mask: Tensor, beginnings: DynamicCache | None
    ) -> tuple[np.ndarray, np.ndarray]:
        observer = run.observer
        choose = None if run.sampler is None else run.sampler.choose_for(batch)
        with run.changed():
            if observer is not None:
                observer.see_prompts(ids, mask, pad)
                observer.begin_batch(len(ids))
            tokens = decode_greedily(
                model, ids, mask, pad, n_tokens, observer, choose,
                beginnings if run.changes_newest_only else None,
            )  # fmt: skip
        padded, counted = _pad_to_length(tokens.cpu().numpy(), n_tokens, end_tokens(model), pad)
        if observer is not None:
            observer.end_batch(padded, counted)
        return padded, counted

    size = first_batch_size(batch_size, model.device)
    for start, results in run_in_batches(range(len(rows)), size, continue_batch, progress, limit):
        yield [Continuations(start, tokens, mask) for tokens, mask in results]


def _reads_last_token(run: Run) -> bool:
    return run.observer is not None and run.observer.needs_last_token


def _check_length(model: PreTrainedModel, n_positions: int) -> None:
    longest = model.config.max_position_embeddings
    if n_positions > longest:
        raise InputError(
            f"a prompt and its continuation have {n_positions} tokens to read, but the model reads "
            f"at most {longest}; shorten the longest prompts of data.challenge_prompts and "
            "data.reference_sentences, or lower generation.tokens"
        )


def _pad_to_length(
    tokens: np.ndarray, n_tokens: int, ends: list[int], padding: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pad tokens, (batch, ≤ n_tokens), and mark those before the end: both (batch, n_tokens)."""
    width = n_tokens - tokens.shape[1]
    tokens = np.pad(tokens, ((0, 0), (0, width)), constant_values=padding).astype(np.int32)
    mask = np.logical_and.accumulate(~np.isin(tokens, ends), axis=1)
    mask[:, n_tokens - width :] = False
    return tokens, mask
