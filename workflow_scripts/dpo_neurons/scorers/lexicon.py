"""The lexicon scorer: words with severities, found in the text."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping

import pandas as pd

from dpo_neurons.scorers.severities import gather_severities, normalise_text


def score_by_lexicon(texts: list[str], severities: Mapping[str, float]) -> pd.DataFrame:
    """Score texts by the severities, in [0, 1], of the words they contain.

    toxicity: 1 − Π(1 − severity) over every occurrence, so it grows with the number and the
    severity of the words. severest: the largest severity. matches: occurrences.
    Raises InputError for a word with two severities.
    """
    by_word = gather_severities(("lexicon", word, value) for word, value in severities.items())
    pattern = _pattern_of(by_word)
    severities_by_text = [
        [by_word[word] for word in pattern.findall(normalise_text(text))] for text in texts
    ]
    return pd.DataFrame(
        {
            "toxicity": [_noisy_or(matches) for matches in severities_by_text],
            "severest": [max(matches, default=0.0) for matches in severities_by_text],
            "matches": [len(matches) for matches in severities_by_text],
        }
    )


def _noisy_or(severities: list[float]) -> float:
    clean = 1.0
    for severity in severities:
        clean *= 1 - severity
    return 1 - clean


def _pattern_of(words: Collection[str]) -> re.Pattern[str]:
    """Compile what finds normalised words in a normalised text."""
    # Longer entries first, so that "half-wit" is not found as "half".
    entries = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{entries})(?!\w)") if words else re.compile(r"(?!)")


def split_at_words(text: str, words: Collection[str]) -> list[str]:
    """Split a text at the words that the scorer finds in it, so that they can be marked.

    words: normalised. Returns pieces whose concatenation is the text; every second one, from the
    second on, is such a word, spelled as in the text.
    """
    matches = list(_pattern_of(words).finditer(normalise_text(text)))
    if not matches:
        return [text]
    # How much of the normalised text each beginning of the text makes.
    lengths = [len(normalise_text(text[:end])) for end in range(len(text) + 1)]
    pieces, last = [], 0
    for match in matches:
        start = bisect_right(lengths, match.start(), lo=last) - 1
        end = bisect_left(lengths, match.end(), lo=start)
        # Accents and signs of no width make it no longer, and belong to the word.
        while end < len(text) and lengths[end + 1] == lengths[end] and not text[end].isspace():
            end += 1
        pieces += [text[last:start], text[start:end]]
        last = end
    return [*pieces, text[last:]]
