"""The lexicon scorer: words with severities, found in the text."""

import re
from collections.abc import Mapping

import pandas as pd

from dpo_neurons.scorers.severities import gather_severities, normalise_text


def score_by_lexicon(texts: list[str], severities: Mapping[str, float]) -> pd.DataFrame:
    """Score texts by the severities, in [0, 1], of the words they contain.

    toxicity: 1 − Π(1 − severity) over every occurrence, so it grows with the number and the
    severity of the words. severest: the largest severity. matches: occurrences.
    Raises InputError for a word with two severities.
    """
    by_word = gather_severities(("lexicon", word, value) for word, value in severities.items())
    # Longer entries first, so that "half-wit" is not found as "half".
    entries = "|".join(re.escape(word) for word in sorted(by_word, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{entries})(?!\w)") if by_word else re.compile(r"(?!)")
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
