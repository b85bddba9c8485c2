"""Select and check rows of a user's file, and bring them under a data set's fixed keys."""

import difflib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.severities import SeverityTable
from dpo_neurons.study.data_files import read_rows
from dpo_neurons.study.datasets import (
    FURTHER_NUMBERS,
    TEXT_KEYS,
    check_numbers,
    number_keys,
)
from dpo_neurons.study.messages import CHAT_KEYS, is_blank, is_unicode, read_messages
from dpo_neurons.study.prompt_cutting import cut_after, cut_shared_beginning

WITH_PROMPT_WORDS = ("challenge_prompts", "reference_sentences")
"""The data sets whose prompts can be cut from one text."""
WITH_SHARED_WORDS = "preference_pairs"
"""The data set whose prompt can be what both answers begin with."""
LABEL_BOUNDARY = 0.5
"""A comment is toxic from this number on."""
ABSENT = object()


@dataclass(frozen=True)
class Selection:
    """Which rows of a user's files make up a data set, and from which columns."""

    dataset: str
    columns: dict[str, str] = field(default_factory=dict)
    """The column of each key that is not named like it; dotted for a value inside an object.

    Further keys of labelled comments are further labels, numbers from 0 to 1.
    """
    where: dict[str, str] = field(default_factory=dict)
    """Value that each column must have, as JSON; what is no JSON is a text."""
    skip: int = 0
    """How many rows of the files to pass over, the first ones."""
    rows: int | None = None
    """How many of the remaining rows to take, from the first."""
    rows_per_label: int | None = None
    """How many of these to keep with a label below 0.5, and how many others, evenly spread."""
    prompt_words: int | None = None
    """Cut each text into a prompt of this many words and what follows."""
    shared_words: int | None = None
    """Make the words that chosen and rejected begin with the prompt, if they are this many."""
    labels: dict[str, dict[str, float]] = field(default_factory=dict)
    """By key, the number from 0 to 1 that each of a column's values stands for."""
    severity: float | None = None
    """Severity of every word of a lexicon without such a column."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("prompt_words", WITH_PROMPT_WORDS),
            ("shared_words", (WITH_SHARED_WORDS,)),
            ("rows_per_label", (FURTHER_NUMBERS,)),
            ("severity", ("lexicon",)),
        ):
            value = getattr(self, name)
            if value is not None and self.dataset not in allowed:
                raise InputError(
                    f"{name} is for {' and '.join(allowed)}, not for {self.dataset}; remove it"
                )
            if name != "severity" and value is not None and value < 1:
                raise InputError(f"{name}: {value} leaves nothing; give 1 or more")
        for key in self.columns:
            if key not in self.keys:
                raise InputError(
                    f"columns: {key!r} is no key of {self.dataset}, which has "
                    f"{', '.join(self.keys)}; write key=column"
                )

    @property
    def text_keys(self) -> tuple[str, ...]:
        """Keys whose values are texts in the file."""
        if self.prompt_words is not None:
            return ("text",)
        keys = TEXT_KEYS[self.dataset]
        return keys if self.shared_words is None else tuple(key for key in keys if key != "prompt")

    @property
    def chat_keys(self) -> tuple[str, ...]:
        """Keys whose values may be lists of messages; a text that is cut is none."""
        is_cut = self.prompt_words is not None or self.shared_words is not None
        return () if is_cut else CHAT_KEYS.get(self.dataset, ())

    @property
    def number_keys(self) -> tuple[str, ...]:
        """Keys whose values are numbers from 0 to 1."""
        fixed = () if self.severity is not None else number_keys(self.dataset)
        if self.dataset != FURTHER_NUMBERS:
            return fixed
        return fixed + tuple(key for key in self.columns if key not in (*self.text_keys, *fixed))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that are read from the file."""
        return (*self.text_keys, *self.number_keys)

    @property
    def key(self) -> str:
        """The data set's key in the study, for error messages."""
        return f"data.{self.dataset}"

    def column(self, key: str) -> str:
        """Return the column that a key is read from."""
        return self.columns.get(key, key)


def select_rows(
    paths: Iterable[Path], selection: Selection
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Read a data set from files, and count the rows left out, by reason.

    Texts stay as they are. Rows with a blank or missing text are left out.
    Raises InputError, naming file and line, for a missing column, a value that is no text or out
    of range, and a word of a lexicon with two severities; and if no row remains.
    """
    paths = list(paths)
    left_out: Counter[str] = Counter()
    rows = list(islice(_iterate_rows(paths, selection, left_out), selection.rows))
    if selection.rows_per_label is not None:
        balanced = _balance(rows, selection.rows_per_label)
        left_out["enough of its label"] = len(rows) - len(balanced)
        rows = balanced
    if not rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out.items())
        raise InputError(
            f"{', '.join(map(str, paths))}: no row remains for {selection.dataset}; left out "
            f"were: {reasons or 'none, there are no rows'}; check where, columns, skip and rows"
        )
    return rows, dict(left_out)


def _iterate_rows(
    paths: list[Path], selection: Selection, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    columns = [*map(selection.column, selection.keys), *selection.where]
    conditions = {column: _parse_cell(value) for column, value in selection.where.items()}
    lexicon = SeverityTable()
    to_skip = selection.skip
    for path in paths:
        for place, values in read_rows(path, columns):
            if to_skip:
                to_skip -= 1
                left_out["skipped"] += 1
                continue
            reason = _failed_condition(place, values, conditions, f"{selection.key}.where")
            row = {} if reason else _read_row(place, values, selection)
            reason = reason or _describe_blank(row, selection)
            if not reason:
                row, reason = _cut(row, selection)
            if reason:
                left_out[reason] += 1
            else:
                if selection.dataset == "lexicon":
                    lexicon.add(place, row["word"], row["severity"])
                yield row


def _balance(rows: list[dict[str, Any]], per_label: int) -> list[dict[str, Any]]:
    """Choose as many toxic comments as others, spread evenly: files are often sorted."""
    chosen: set[int] = set()
    for is_toxic in (False, True):
        places = [n for n, row in enumerate(rows) if (row["toxic"] >= LABEL_BOUNDARY) == is_toxic]
        step = max(len(places) / per_label, 1)
        chosen.update(places[int(n * step)] for n in range(min(per_label, len(places))))
    return [rows[place] for place in sorted(chosen)]


def _cut(row: dict[str, Any], selection: Selection) -> tuple[dict[str, Any], str]:
    """Make the row's prompt out of its texts where asked; give the reason where none can be."""
    if (words := selection.prompt_words) is not None:
        parts = cut_after(row["text"], words)
        if parts is None:
            return {}, f"fewer than {words + 1} words"
        return dict(zip(TEXT_KEYS[selection.dataset], parts, strict=False)), ""
    if (least := selection.shared_words) is not None:
        answers = cut_shared_beginning(row["chosen"], row["rejected"], least)
        if answers is None:
            return {}, f"chosen and rejected begin with fewer than {least} equal words"
        (prompt, chosen), (_, rejected) = answers
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}, ""
    return row, ""


def _failed_condition(
    place: str, values: dict[str, Any], conditions: dict[str, Any], key: str
) -> str:
    """Describe the first condition that a row fails; empty if it meets all.

    key: that of the conditions in the study, for the error message.
    A text is compared as it stands, so "007" is not "7"; a number or truth value is compared with
    what a cell says, so 1 is "1.0".
    """
    for column, value in conditions.items():
        cell = _look_up(place, values, column, key)
        as_text = isinstance(value, str) or not isinstance(cell, str)
        if (cell if as_text else _parse_cell(cell)) != value:
            return f"not {column}={json.dumps(value, ensure_ascii=False)}"
    return ""


def _read_row(place: str, values: dict[str, Any], selection: Selection) -> dict[str, Any]:
    row = {
        key: _look_up(place, values, selection.column(key), f"{selection.key}.columns.{key}")
        for key in selection.keys
    }
    for key in selection.text_keys:
        if _is_missing(row[key]):
            row[key] = None
        elif isinstance(row[key], list) and key in selection.chat_keys:
            row[key] = read_messages(row[key], f"{place}: {key}")
        elif not is_unicode(row[key]):
            raise InputError(f'{place}: needs the key "{key}" with a text value')
    for key in selection.number_keys:
        labels = selection.labels.get(key)
        if labels is None:
            row[key] = _to_number(row[key])
        else:
            row[key] = _number_of_label(place, f"{selection.key}.labels.{key}", row[key], labels)
    check_numbers(place, row, selection.number_keys)
    return row if selection.severity is None else {**row, "severity": selection.severity}


def _number_of_label(place: str, key: str, value: object, labels: dict[str, float]) -> float:
    """Return the number that a value stands for; a number of any form is read as one."""
    numbers = {_as_written(name): number for name, number in labels.items()}
    if _as_written(value) not in numbers:
        raise InputError(
            f"{place}: {key}: has no number for {str(value)[:80]!r}, only for "
            f"{', '.join(labels)}; add it, or leave such rows out by where"
        )
    return numbers[_as_written(value)]


def _as_written(value: object) -> str:
    """Write a label so that class 1, "1" and 1.0 are one."""
    number = _to_number(value)
    is_whole = isinstance(number, float) and number.is_integer()
    return str(int(number) if isinstance(number, float) and is_whole else number)


def _look_up(place: str, values: dict[str, Any], column: str, key: str) -> Any:  # noqa: ANN401
    """Look up a row's value in a column; a dotted column is inside an object.

    key: the study's key that names the column. Raises InputError if there is no such column.
    """
    value = values.get(column, ABSENT)
    if value is ABSENT:
        value = values
        for name in column.split("."):
            value = None if value is None else _inside(value, name)
    if value is ABSENT:
        names = _list_columns(values)
        close = difflib.get_close_matches(column, names, n=1, cutoff=0.4)
        raise InputError(
            f"{place}: {key}: no column {column!r} among {', '.join(names)}"
            + (f"; did you mean {close[0]!r}?" if close else "; name one of them")
        )
    return value


def _inside(value: object, name: str) -> object:
    return value.get(name, ABSENT) if isinstance(value, dict) else ABSENT


def _list_columns(values: dict[str, Any], prefix: str = "") -> list[str]:
    names = []
    for name, value in values.items():
        inner = _list_columns(value, f"{prefix}{name}.") if isinstance(value, dict) else []
        names += inner or [f"{prefix}{name}"]
    return names


def _describe_blank(row: dict[str, Any], selection: Selection) -> str:
    for key in selection.text_keys:
        if row[key] is None or is_blank(row[key]):
            return f"blank {key}"
    return ""


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _to_number(value: object) -> object:
    """Read a text as a number, True and False as 1 and 0; return other values unchanged."""
    plain = _parse_cell(value) if isinstance(value, str) else value
    return int(plain) if isinstance(plain, bool) else plain


def _parse_cell(text: str) -> Any:  # noqa: ANN401
    """Return what a text says as JSON, True and False in any case; else the text itself."""
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except (ValueError, RecursionError):
        return text
