"""Decoding, greedy or by sampling: continuing one batch of prompts, padded on the left."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from dpo_neurons.errors import BrokenModelError
from dpo_neurons.models.key_value_cache import branch_cache, make_cache
from dpo_neurons.models.tokenization import barred_tokens


class TokenObserver:
    """Watches decoding: sees the prompts, then each token as it is chosen."""

    needs_last_token = False
    """Whether one more forward pass reads the last token and predicts nothing."""

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """See a batch of prompts, (batch, length), before they are continued."""

    def begin_batch(self, batch_size: int) -> None:
        """Prepare for the forward passes of a batch of prompts."""

    def see_tokens(self, tokens: Tensor) -> None:
        """See the tokens, (batch,), chosen by the forward pass that just ended."""

    def see_last_token_read(self) -> None:
        """See that a forward pass has read the last token, if the observer needs that."""

    def end_batch(self, tokens: np.ndarray, mask: np.ndarray) -> None:
        """See the batch's continuations, as in `Continuations`, once they are whole."""


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

    def __init__(
        self,
        model: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        n_tokens: int,
        beginnings: DynamicCache | None = None,
    ) -> None:
        """Take prompts, (batch, length), padded on the left.

        n_tokens: how many are to be appended and read. beginnings: what `read_beginnings` returned
        for the prompts; they are not read again.
        """
        self.ids = input_ids
        """(batch, length): the prompts and the tokens appended so far."""
        self._model = model
        self._mask = attention_mask
        self._positions = (attention_mask.long().cumsum(dim=1) - 1).masked_fill(
            attention_mask == 0, 0
        )
        self._barred = torch.tensor(barred_tokens(model), device=input_ids.device).long()
        self._starts = beginnings is None
        self.cache = (
            make_cache(model.config, n_tokens)
            if beginnings is None
            # Other readers continue from the same beginnings.
            else branch_cache(beginnings, n_tokens)
        )
        """Keys and values of the tokens read so far."""

    def read_prompts(self) -> Tensor:
        """Read the prompts; return the next token's logits, (batch, vocabulary)."""
        return self._read(first=self._starts)[:, -1]

    def read_all(self, predicted: int) -> Tensor:
        """Read the prompts and all that is appended; return the last positions' logits.

        predicted: how many positions; after `beginnings`, as many as there are unread tokens. The
        logits are (batch, predicted, vocabulary).
        """
        return self._read(first=self._starts, predicted=predicted)

    def append(self, tokens: Tensor) -> None:
        """Append tokens, (batch, n), to the texts."""
        ahead = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        self.ids = torch.cat([self.ids, tokens], dim=1)
        self._mask = torch.cat([self._mask, self._mask.new_ones(tokens.shape)], dim=1)
        self._positions = torch.cat([self._positions, self._positions[:, -1:] + ahead], dim=1)

    def read_newest(self) -> Tensor:
        """Read the token appended last; return the next one's logits, (batch, vocabulary)."""
        return self._read(first=False)[:, -1]

    def read_last(self) -> None:
        """Read the token appended last, and predict nothing."""
        # No position needs logits; the output layer takes a large part of a pass.
        self._pass(first=False, n_new=1, predicted=self.ids.new_empty(0))

    def _read(self, first: bool, predicted: int = 1) -> Tensor:
        with torch.inference_mode():
            # A model may give more positions than it is asked for.
            logits = widen(self._pass(first, predicted, predicted)[:, -predicted:])
            if len(self._barred):
                logits[..., self._barred.to(logits.device)] = -torch.inf
        return logits

    def _pass(self, first: bool, n_new: int, predicted: int | Tensor) -> Tensor:
        """Run the model; return the logits of the last positions, or of those listed.

        n_new: tokens to read; all in a first pass.
        """
        # The model's own preparation: Phi 3 begins its cache anew where its long context begins.
        prepare: Any = self._model.prepare_inputs_for_generation
        with torch.inference_mode():
            inputs = prepare(
                self.ids,
                next_sequence_length=None if first else n_new,
                past_key_values=self.cache,
                attention_mask=self._mask,
                position_ids=self._positions,
                use_cache=True,
                logits_to_keep=predicted,
                is_first_iteration=first,
            )
            output = self._model(**inputs, return_dict=True)
            self.cache = output.past_key_values
        logits: Tensor = output.logits
        return logits


def read_beginnings(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor
) -> DynamicCache | None:
    """Read all but the last token of prompts, (batch, length), padded on the left.

    Returns their keys and values. A change of the model at the newest token alone leaves these as
    they are, so that several such changes may continue from them.
    None if there is nothing before the last token.
    """
    if input_ids.shape[1] < 2:
        return None
    decoder = Decoder(model, input_ids[:, :-1], attention_mask[:, :-1], n_tokens=0)
    decoder.read_prompts()
    return decoder.cache


TOKENS_BETWEEN_LOOKS = {"cuda": 8, "cpu": 1}
"""How often decoding looks whether all texts have ended: to look at a GPU is to wait for it."""

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
    beginnings: DynamicCache | None = None,
) -> Tensor:
    """Continue prompts, (batch, length) padded on the left, by their most likely tokens.

    choose: chooses other tokens than the most likely. beginnings: as in `Decoder`.

    Returns the new tokens, (batch, ≤ n_tokens). A row that has ended is filled with `pad`; decoding
    stops once all are seen to have ended. The observer sees the tokens of each forward pass; if it
    needs the last token to be read, one more forward pass does that.
    The model's generation configuration counts for two things: its end-of-sequence tokens, and the
    tokens that the pair's other checkpoint lacks, which are never chosen. The tokens are those of
    transformers' `generate` without sampling, beams, penalties and other processors.
    Raises BrokenModelError if a token would be chosen from logits that are NaN or infinite.
    """
    ends = torch.tensor(end_tokens(model), dtype=input_ids.dtype, device=input_ids.device)
    going_on = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    broken = torch.zeros_like(going_on)
    tokens_between_looks = TOKENS_BETWEEN_LOOKS[input_ids.device.type]
    decoder = Decoder(model, input_ids, attention_mask, n_tokens, beginnings)
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
        decoder.append(chosen[:, None])
        looks = len(ends) > 0 and (step + 1) % tokens_between_looks == 0
        if looks and not going_on.any():
            break
        if step < n_tokens - 1:
            logits = decoder.read_newest()
        elif observer is not None and observer.needs_last_token:
            decoder.read_last()
            observer.see_last_token_read()
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
    beginnings: DynamicCache | None = None,
) -> Tensor:
    """Read given answers, (batch, n), in one pass; return the logits that predict their tokens.

    They are (batch, n, vocabulary), and those of generation, which reads token by token, if a
    change of the model acts on the n newest tokens where it acts on the newest there. Where
    Phi 3's long context begins among them, all tokens are read as in its long context.
    input_ids, attention_mask: prompts, (batch, length), padded on the left. Answers are padded on
    the right; what is predicted there means nothing. beginnings: as in `Decoder`.
    """
    decoder = Decoder(model, input_ids, attention_mask, 0, beginnings)
    decoder.append(answers[:, :-1])
    return decoder.read_all(answers.shape[1])


def widen(logits: Tensor) -> Tensor:
    """Convert logits to float32; those in float64 stay as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
