"""Decoding, greedy or by sampling: continuations of prompts, in batches padded on the left."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.models.batches import run_in_batches
from dpo_neurons.models.sampling import Sampler
from dpo_neurons.models.tokenization import (
    barred_tokens,
    check_ids,
    choose_padding,
    count_vocabulary,
    pad_rows,
    tokenize_texts,
)


class TokenObserver:
    """Watches decoding: sees the prompts, then each token as it is chosen."""

    needs_last_token = False
    """Whether one more forward pass reads the last token; its prediction is dropped."""

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """See a batch of prompts, (batch, length), before they are continued."""

    def begin_batch(self, batch_size: int) -> None:
        """Prepare for the forward passes of a batch of prompts."""

    def see_tokens(self, tokens: Tensor) -> None:
        """See the tokens, (batch,), chosen by the forward pass that just ended."""

    def end_batch(self, tokens: np.ndarray, mask: np.ndarray) -> None:
        """See the batch's continuations, as in `Continuations`, once they are whole."""


@dataclass(frozen=True)
class Continuations:
    """The continuations of one batch of prompts, in the prompts' order."""

    start: int
    """Index of the batch's first prompt."""
    tokens: np.ndarray
    """(batch, n_tokens) int32; after an end-of-sequence token there is padding."""
    mask: np.ndarray
    """(batch, n_tokens) bool; True for generated tokens before the end of the sequence."""


def end_tokens(model: PreTrainedModel) -> list[int]:
    """List the tokens that end a sequence; a model may have none or several."""
    end = model.generation_config.eos_token_id
    if end is None:
        return []
    return list(end) if isinstance(end, list) else [end]


class Decoder:
    """A model that reads a batch of texts token by token, and predicts each next token.

    Each token is read once: keys and values of earlier tokens stay in a cache.
    """

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Take prompts, (batch, length), padded on the left."""
        self.ids = input_ids
        """(batch, length): the prompts and the tokens appended so far."""
        self._model = model
        self._mask = attention_mask
        self._positions = (attention_mask.long().cumsum(dim=1) - 1).masked_fill(
            attention_mask == 0, 0
        )
        self._barred = barred_tokens(model)
        self._cache = DynamicCache(config=model.config)

    def read_prompts(self) -> Tensor:
        """Read the prompts; return the next token's logits, (batch, vocabulary)."""
        return self._read(first=True)

    def append(self, tokens: Tensor) -> None:
        """Append a token, (batch,), to each text."""
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), 1))], dim=1)
        self._positions = torch.cat([self._positions, self._positions[:, -1:] + 1], dim=1)

    def read_newest(self) -> Tensor:
        """Read the token appended last; return the next one's logits, (batch, vocabulary)."""
        return self._read(first=False)

    def _read(self, first: bool) -> Tensor:
        # The model's own preparation: Phi 3 begins its cache anew where its long context begins.
        prepare: Any = self._model.prepare_inputs_for_generation
        with torch.inference_mode():
            inputs = prepare(
                self.ids,
                next_sequence_length=None if first else 1,
                past_key_values=self._cache,
                attention_mask=self._mask,
                position_ids=self._positions,
                use_cache=True,
                logits_to_keep=1,
                is_first_iteration=first,
            )
            output = self._model(**inputs, return_dict=True)
            self._cache = output.past_key_values
            logits = widen(output.logits[:, -1])
            if self._barred:
                logits[:, self._barred] = -torch.inf
        return logits


Choose = Callable[[Tensor, int], Tensor]
"""Chooses tokens, (batch,), from logits, (batch, vocabulary), at a step from 0 on."""


@torch.inference_mode()
def decode_greedily(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    pad: int,
    n_tokens: int,
    observer: TokenObserver | None = None,
    choose: Choose | None = None,
) -> Tensor:
    """Continue prompts, (batch, length) padded on the left, by their most likely tokens.

    choose: chooses other tokens than the most likely.

    Returns the new tokens, (batch, ≤ n_tokens). A row that has ended is filled with `pad`; decoding
    stops when all have ended. The observer sees the tokens of each forward pass.
    The model's generation configuration counts for two things: its end-of-sequence tokens, and the
    tokens that the pair's other checkpoint lacks, which are never chosen. The tokens are those of
    transformers' `generate` without sampling, beams, penalties and other processors.
    Raises BrokenModelError if a token would be chosen from logits that are NaN or infinite.
    """
    ends = torch.tensor(end_tokens(model), dtype=input_ids.dtype, device=input_ids.device)
    going_on = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    broken = torch.zeros_like(going_on)
    decoder = Decoder(model, input_ids, attention_mask)
    logits = decoder.read_prompts()
    for step in range(n_tokens):
        largest, chosen = logits.max(dim=-1)
        if choose is not None:
            chosen = choose(logits, step)
        # NaN among the logits makes the largest NaN. Read after the loop, to wait only once.
        broken |= going_on & ~largest.isfinite().to(going_on.device)
        chosen = torch.where(going_on, chosen.to(going_on.device), pad)
        if observer is not None:
            observer.see_tokens(chosen)
        going_on = going_on & ~torch.isin(chosen, ends)
        decoder.append(chosen)
        # Waits for the device once a token; most batches have rows that end early.
        if step == n_tokens - 1 or (len(ends) and not going_on.any()):
            break
        logits = decoder.read_newest()
    if broken.any():
        raise BrokenModelError(
            f"the logits after prompt {int(broken.int().argmax())} of a batch are NaN or infinite"
        )
    return decoder.ids[:, input_ids.shape[1] :]


def read_answers(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    answers: Tensor,
    observer: TokenObserver | None = None,
) -> Iterator[Tensor]:
    """Read given answers, (batch, n), token by token; yield the logits that predict each token.

    input_ids, attention_mask: prompts, (batch, length), padded on the left. Yields n tensors,
    (batch, vocabulary). The observer sees each token before it is read. Answers are padded on the
    right; what is predicted there means nothing.
    """
    decoder = Decoder(model, input_ids, attention_mask)
    yield decoder.read_prompts()
    for tokens in answers.T[:-1]:
        if observer is not None:
            observer.see_tokens(tokens)
        decoder.append(tokens)
        yield decoder.read_newest()


def widen(logits: Tensor) -> Tensor:
    """Convert logits to float32; those in float64 stay as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def generate_greedily(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: int,
    observer: TokenObserver | None = None,
    progress: str | None = "generating",
    sampler: Sampler | None = None,
) -> Iterator[Continuations]:
    """Continue each prompt by up to `n_tokens` tokens, batch by batch.

    progress: title of a progress bar. sampler: samples tokens in place of the most likely ones.
    Raises InputError for a prompt that is too long for the model or has a token that it lacks, and
    BrokenModelError as `decode_greedily` does.
    """
    extra = 1 if observer is not None and observer.needs_last_token else 0

    def continue_batch(batch: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        rows = tokenize_texts(tokenizer, [prompts[index] for index in batch])
        check_ids(model, tokenizer, rows)
        pad = choose_padding(tokenizer, count_vocabulary(model))
        ids, mask = (part.to(model.device) for part in pad_rows(rows, pad, "left"))
        # The last token is chosen and not read, unless the observer asks for it.
        _check_length(model, ids.shape[1] + n_tokens - 1 + extra)
        if observer is not None:
            observer.see_prompts(ids, mask, pad)
            observer.begin_batch(len(ids))
        choose = None if sampler is None else sampler.choose_for(batch)
        tokens = decode_greedily(model, ids, mask, pad, n_tokens + extra, observer, choose)
        padded, counted = _pad_to_length(
            tokens[:, :n_tokens].cpu().numpy(), n_tokens, end_tokens(model), pad
        )
        if observer is not None:
            observer.end_batch(padded, counted)
        return padded, counted

    indices = range(len(prompts))
    for start, (tokens, mask) in run_in_batches(indices, batch_size, continue_batch, progress):
        yield Continuations(start, tokens, mask)


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
