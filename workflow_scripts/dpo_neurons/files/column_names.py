"""Names of a table's columns: each stands once."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dpo_neurons.errors import InputError


def check_names_once(path: Path, names: Iterable[str], inside: str = "") -> None:
    """Refuse a file in which two columns have one name: it would not say which is meant.

    inside: the column, for the names inside its objects.
    Raises InputError.
    """
    for name, count in Counter(names).items():
        if count > 1 and name.strip():
            raise InputError(
                f"{path}: the column {inside + name!r} stands there {count} times; rename or "
                "remove all but one"
            )
