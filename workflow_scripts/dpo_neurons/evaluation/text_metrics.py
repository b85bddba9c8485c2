"""Metrics of generated text that need no model: F1 against a reference, n-gram repetition."""

import re
from collections import Counter


def words_of(text: str) -> list[str]:
    """Words in lower case, punctuation left out."""
    return re.findall(r"\w+", text.lower())


def unigram_f1(continuation: str, gold: str) -> float:
    """Harmonic mean of the precision and recall of a continuation's words in the gold text's.

    Words count as often as they occur in both; 0 where either text has no words.
    """
    written, expected = Counter(words_of(continuation)), Counter(words_of(gold))
    common = (written & expected).total()
    if common == 0:
        return 0.0
    precision, recall = common / written.total(), common / expected.total()
    return 2 * precision * recall / (precision + recall)


def repetition(text: str, n: int = 2) -> float:
    """Share of a text's n-grams that have occurred in it before; 0 for a text shorter than n."""
    words = words_of(text)
    grams = list(zip(*(words[offset:] for offset in range(n)), strict=False))
    if not grams:
        return 0.0
    return 1 - len(set(grams)) / len(grams)
