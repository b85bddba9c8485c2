"""A model reads texts in batches, while hooks watch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.models.batches import (
    TOKENS_AT_ONCE,
    TokenLimit,
    order_longest_first,
    run_in_batches,
)
from dpo_neurons.models.tokenization import (
    check_ids,
    choose_padding,
    count_vocabulary,
    pad_rows,
    tokenize_texts,
)


def read_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int,
    summarise: Callable[[Tensor], np.ndarray],
    starts: Sequence[int] | None = None,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Let a model read texts; return what is made of each, (n, …), in the texts' order.

    Texts longer than `max_tokens`, or than the model reads, are cut. summarise, starts: as in
    `read_rows`.
    Raises InputError for a text with a token that the model lacks.
    """
    longest = model.config.max_position_embeddings
    if max_tokens is not None:
        longest = min(longest, max_tokens)
    rows = [ids[:longest] for ids in tokenize_texts(tokenizer, texts)]
    return read_rows(model, tokenizer, rows, batch_size, summarise, starts)


def read_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Sequence[int]],
    batch_size: int,
    summarise: Callable[[Tensor], np.ndarray],
    starts: Sequence[int] | None = None,
) -> np.ndarray:
    """Let a model read rows of token ids; return what is made of each, (n, …), in their order.

    At most `batch_size` are read at a time, and fewer where they are long.
    summarise: called after each batch with its mask of real tokens, (batch, length), padded on the
    right; it returns an array (batch, …) of what hooks have seen. starts: for each row, how many of
    its first tokens the mask leaves out; by default none.
    Raises InputError for a token that the model lacks.
    """
    padding = choose_padding(tokenizer, count_vocabulary(model))
    check_ids(model, tokenizer, rows)
    order = order_longest_first([len(row) for row in rows])
    lengths = [len(rows[index]) for index in order]
    limit = TokenLimit(lengths, TOKENS_AT_ONCE[model.device.type])

    def read(batch: Sequence[int]) -> np.ndarray:
        # On the right, padding leaves the position ids of a causal model as they are.
        padded = pad_rows([rows[index] for index in batch], padding, "right")
        ids, mask = (part.to(model.device) for part in padded)
        counted = mask.clone()
        if starts is not None:
            for row, index in enumerate(batch):
                counted[row, : starts[index]] = 0
        with torch.inference_mode():
            model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
            return summarise(counted)

    batches = run_in_batches(order.tolist(), batch_size, read, "reading", limit)
    in_order: np.ndarray = np.concatenate([of_batch for _, of_batch in batches])[np.argsort(order)]
    return in_order
