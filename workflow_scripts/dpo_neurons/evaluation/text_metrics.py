"""Metrics of generated text that need no model: F1 and n-gram repetition."""

import re
from collections import Counter
from collections.abc import Sequence


def split_words(text: str) -> list[str]:
    """Split a text into words in lower case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def unigram_f1(continuation: str, gold: str) -> float:
    """Return the F1 of a continuation's words against the words of a gold text.

    A word counts as often as both texts have it. F1 is 0 if either text has no words.
    """
    written, expected = Counter(split_words(continuation)), Counter(split_words(gold))
    common = (written & expected).total()
    if common == 0:
        return 0.0
    precision, recall = common / written.total(), common / expected.total()
    return 2 * precision * recall / (precision + recall)


def repetition(text: str, n: int = 2) -> float:
    """Return the share of a text's n-grams that repeat an earlier one, or 0."""
    words = split_words(text)
    grams = list(zip(*(words[offset:] for offset in range(n)), strict=False))
    if not grams:
        return 0.0
    return 1 - len(set(grams)) / len(grams)


REPEATED = 3
"""Tokens that a text must have to be called one repeated token."""


def is_degenerate(text: str, tokens: Sequence[int]) -> bool:
    """Whether a text is empty or one repeated token, as of a model that no longer writes.

    tokens: the text's ids.
    """
    return not text.strip() or (len(tokens) >= REPEATED and len(set(tokens)) == 1)
