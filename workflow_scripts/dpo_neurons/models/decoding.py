"""Greedy continuations of prompts, in batches padded on the left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from dpo_neurons.errors import InputError
from dpo_neurons.models.batches import run_in_batches


@dataclass(frozen=True)
class Continuations:
    """The continuations of one batch of prompts, in the prompts' order."""

    start: int
    """Index of the batch's first prompt."""
    tokens: np.ndarray
    """(batch, n_tokens) int32; what follows the end of a sequence is padding."""
    mask: np.ndarray
    """(batch, n_tokens) bool; True for generated tokens before the end of the sequence."""


def end_tokens(model: PreTrainedModel) -> list[int]:
    """Tokens that end a sequence; a model may have none or several."""
    end = model.generation_config.eos_token_id
    if end is None:
        return []
    return list(end) if isinstance(end, list) else [end]


def generate_greedily(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    n_tokens: int,
    batch_size: int,
    observer: "TokenObserver | None" = None,
    progress: str | None = "generating",
) -> Iterator[Continuations]:
    """Continue each prompt by up to `n_tokens` tokens, always taking the most likely one.

    An observer sees each batch begin and every token as it is chosen; it may ask for one more
    forward pass, over the last token, whose prediction is dropped. progress names a progress bar.
    Raises InputError for a prompt too long for the model.
    """
    extra = 1 if observer is not None and observer.needs_last_token else 0

    def generated(batch_prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        batch = tokenizer(list(batch_prompts), padding=True, return_tensors="pt").to(model.device)
        ids, mask = batch["input_ids"], batch["attention_mask"]
        # The last token is chosen and not read, unless the observer asks for it.
        _check_length(model, ids.shape[1] + n_tokens - 1 + extra)
        if observer is not None:
            observer.see_prompts(ids, mask, tokenizer.pad_token_id)
            observer.begin_batch(len(ids))
        tokens = decode_batch(model, ids, mask, tokenizer.pad_token_id, n_tokens + extra, observer)
        found = tokens[:, :n_tokens].cpu().numpy()
        padded, counted = _padded(found, n_tokens, end_tokens(model), tokenizer.pad_token_id)
        if observer is not None:
            observer.end_batch(padded, counted)
        return padded, counted

    for start, found in run_in_batches(prompts, batch_size, generated, progress):
        yield Continuations(start, *found)


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """Length of each text in tokens."""
    return [len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]]


def decode_batch(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    pad: int,
    n_tokens: int,
    observer: "TokenObserver | None",
) -> torch.Tensor:
    """Continue prompts, (batch, length) padded on the left; returns the new tokens, (batch, ≤ n).

    An observer that was told of the batch sees each token. `pad` follows the end of a sequence.
    """
    config = GenerationConfig(
        max_new_tokens=n_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=end_tokens(model) or None,
        pad_token_id=pad,
    )
    with torch.inference_mode():
        output = model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([observer] if observer is not None else []),
        )
    return output[:, input_ids.shape[1] :]


def _check_length(model: PreTrainedModel, n_positions: int) -> None:
    longest = model.config.max_position_embeddings
    if n_positions > longest:
        raise InputError(
            f"a prompt and its continuation have {n_positions} tokens to read, but the model reads "
            f"at most {longest}; shorten the longest prompts of data.challenge_prompts and "
            "data.reference_sentences, or lower generation.tokens"
        )


def _padded(
    tokens: np.ndarray, n_tokens: int, ends: list[int], padding: int
) -> tuple[np.ndarray, np.ndarray]:
    width = n_tokens - tokens.shape[1]
    tokens = np.pad(tokens, ((0, 0), (0, width)), constant_values=padding).astype(np.int32)
    mask = np.logical_and.accumulate(~np.isin(tokens, ends), axis=1)
    mask[:, n_tokens - width :] = False
    return tokens, mask


class TokenObserver(StoppingCriteria):
    """Watches tokens as generation chooses them; never stops it."""

    needs_last_token = False

    def see_prompts(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, pad: int) -> None:
        """See a batch of prompts, (batch, length), before they are continued."""

    def begin_batch(self, batch_size: int) -> None:
        """Prepare for a batch of prompts."""
        raise NotImplementedError

    def see_tokens(self, tokens: torch.Tensor) -> None:
        """See the tokens, (batch,), that the forward pass just made was used to choose."""
        raise NotImplementedError

    def end_batch(self, tokens: np.ndarray, mask: np.ndarray) -> None:
        """See the batch's continuations, as in `Continuations`, once they are whole."""

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.Tensor, **kwargs: object
    ) -> torch.BoolTensor:
        """Called by generation after each token; see `see_tokens`."""
        self.see_tokens(input_ids[:, -1])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
