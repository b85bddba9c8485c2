"""Words with severities: each word once, however it is spelled."""

import unicodedata
from collections.abc import Iterable

from dpo_neurons.errors import InputError

NO_WIDTH = "Cf"
"""Unicode category of characters without width, such as the soft hyphen."""


def normalise_text(text: str) -> str:
    """Return the form in which words are compared: one form for all spellings of a word.

    Unicode's compatibility form (NFKC), case folded, without characters of no width, each run of
    white space as one space.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    visible = "".join(sign for sign in folded if unicodedata.category(sign) != NO_WIDTH)
    return " ".join(unicodedata.normalize("NFKC", visible).split())


class SeverityTable:
    """Severities by normalised word, gathered one word at a time."""

    def __init__(self) -> None:
        self.severities: dict[str, float] = {}
        self._places: dict[str, str] = {}

    def add(self, place: str, word: str, severity: float) -> None:
        """Add a word; the same word with the same severity counts once.

        place: where the word stands, for error messages.
        Raises InputError for a word without visible characters, and for a second severity.
        """
        normalised = normalise_text(word)
        if not normalised:
            raise InputError(f"{place}: the word {word!r} has no visible character; remove the row")
        known = self.severities.setdefault(normalised, severity)
        first = self._places.setdefault(normalised, place)
        if known != severity:
            raise InputError(
                f"{place}: the word {word!r} has severity {severity}, but {known} at {first}; "
                "spaces around a word, case and Unicode form do not count, so keep one of the rows"
            )


def gather_severities(rows: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Gather severities by normalised word from (place, word, severity).

    Raises InputError as `SeverityTable.add` does.
    """
    table = SeverityTable()
    for place, word, severity in rows:
        table.add(place, word, severity)
    return table.severities
