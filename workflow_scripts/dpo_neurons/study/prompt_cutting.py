"""Cut texts into prompts and what follows them, at white space, which stays as it is."""

import re
from itertools import takewhile

WORD = re.compile(r"\S+")


def cut_after(text: str, words: int) -> tuple[str, str] | None:
    """Split a text after its first words; None if no further word follows."""
    ends = [match.end() for match in WORD.finditer(text)]
    if len(ends) <= words:
        return None
    return text[: ends[words - 1]], text[ends[words - 1] :]


def cut_shared_beginning(
    chosen: str, rejected: str, least: int
) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Split two texts after the words with which both begin, as (prompt, answer) each.

    At least one word is left for each answer. None if both begin with fewer than `least` words.
    """
    pairs = zip(WORD.findall(chosen), WORD.findall(rejected), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    shortest = min(len(WORD.findall(text)) for text in (chosen, rejected))
    words = min(shared, shortest - 1)
    if words < least:
        return None
    first, second = cut_after(chosen, words), cut_after(rejected, words)
    return None if first is None or second is None else (first, second)
