"""A direction from two lists of words: the difference of their mean token vectors.

The embedding direction of Yang et al. (arXiv 2411.06424v3): the mean of the toxic seed words minus
that of the neutral ones, from the unembedding matrix, each word's tokens averaged first.
"""

from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.unembedding import Unembedding


def read_words(path: Path) -> list[str]:
    """Read words, one a line, exactly as they are written; blank lines are passed over.

    Raises InputError if the file holds none, or is no text in UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as text in UTF-8 ({error}); save it so"
        ) from error
    words = [line for line in lines if line.strip()]
    if not words:
        raise InputError(f"{path}: holds no word; write one a line")
    return words


def tokenize_words(
    tokenizer: PreTrainedTokenizerBase, words: list[str], checkpoint: Path, key: str
) -> dict[str, list[int]]:
    """Tokenize words exactly as given: the token ids of each, no special tokens.

    checkpoint, and the configuration's key: for the error message.
    Raises InputError for a word without tokens or with one that the tokenizer does not know.
    """
    ids = {word: tokenizer(word, add_special_tokens=False)["input_ids"] for word in words}
    for word, ids_of_word in ids.items():
        if not ids_of_word or tokenizer.unk_token_id in ids_of_word:
            raise InputError(
                f"directions.….{key}: {word!r} is no text that the tokenizer of {checkpoint} "
                "knows; take the word out or write it otherwise"
            )
    return ids


def average_words(unembedding: Unembedding, ids: dict[str, list[int]]) -> np.ndarray:
    """Average, over words, the mean vector of each word's tokens: (d_model,) float64.

    ids: of `tokenize_words`.
    Raises InputError for a token that the model has no vector for.
    """
    for word, ids_of_word in ids.items():
        if max(ids_of_word) >= unembedding.vocabulary:
            raise InputError(
                f"{unembedding.checkpoint}: {word!r} has token {max(ids_of_word)}, but the model "
                f"has vectors for {unembedding.vocabulary} tokens; use the model's own tokenizer"
            )
    means = [
        unembedding.rows(ids_of_word).mean(axis=0, dtype=np.float64) for ids_of_word in ids.values()
    ]
    average: np.ndarray = np.mean(means, axis=0)
    return average
