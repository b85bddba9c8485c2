"""A direction from two lists of words: the difference of their mean token vectors."""

from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.unembedding import Unembedding


def ids_of_words(
    tokenizer: PreTrainedTokenizerBase, words: list[str], checkpoint: Path, key: str
) -> dict[str, list[int]]:
    """Ids of each word's tokens, without special tokens; a word is taken exactly as it is given.

    `checkpoint` and the configuration's `key` are for the error.
    Raises InputError for a word without tokens or with one that the tokenizer does not know.
    """
    ids = {word: tokenizer(word, add_special_tokens=False)["input_ids"] for word in words}
    for word, its in ids.items():
        if not its or tokenizer.unk_token_id in its:
            raise InputError(
                f"directions.….{key}: {word!r} is no text that the tokenizer of {checkpoint} "
                "knows; take the word out or write it otherwise"
            )
    return ids


def mean_of_words(unembedding: Unembedding, ids: dict[str, list[int]]) -> np.ndarray:
    """Mean over words, (d_model,) float64, of the mean vector of each word's tokens.

    Raises InputError for a token that the model has no vector for.
    """
    for word, its in ids.items():
        if max(its) >= unembedding.vocabulary:
            raise InputError(
                f"{unembedding.checkpoint}: {word!r} has token {max(its)}, but the model has "
                f"vectors for {unembedding.vocabulary} tokens; use the model's own tokenizer"
            )
    means = [unembedding.rows(its).mean(axis=0, dtype=np.float64) for its in ids.values()]
    return np.mean(means, axis=0)
