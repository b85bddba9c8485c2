"""The data sets that a study reads: JSON lines under fixed keys."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import numbered_rows
from dpo_neurons.files.provenance import check_as_recorded
from dpo_neurons.study.messages import CHAT_KEYS, read_messages
from dpo_neurons.study.synthetic_language import Sentence, Speaker, lexicon

TEXT_KEYS: dict[str, tuple[str, ...]] = {
    "training_text": ("text",),
    "demonstrations": ("prompt", "answer"),
    "preference_pairs": ("prompt", "chosen", "rejected"),
    "labelled_comments": ("text",),
    "challenge_prompts": ("prompt",),
    "reference_sentences": ("prompt", "gold"),
    "perplexity_text": ("text",),
    "lexicon": ("word",),
}
"""The keys of each data set whose values are texts."""
RENDERED = "rendered"
"""Key of a row that a chat template has rendered; its value is true."""
NUMBER_KEYS = {"labelled_comments": "toxic", "lexicon": "severity"}
"""The key of a data set whose value is a number between 0 and 1."""
FURTHER_NUMBERS = "labelled_comments"
"""The data set that may have further numbers, one per label, under keys of the user's choice."""

CHALLENGING = 0.3
"""Least probability of an insult after a challenge prompt."""


def read_dataset(
    path: Path, dataset: str, further_numbers: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Read and check a data set; further_numbers: further keys that must hold numbers.

    Raises InputError, naming file and line, for a missing key, a value out of range, and messages
    in place of a text.
    """
    rows = []
    for place, row in read_conversations(path, dataset):
        for key in CHAT_KEYS.get(dataset, ()):
            if not isinstance(row[key], str):
                raise InputError(
                    f'{place}: the key "{key}" holds messages, which only a chat template can '
                    "render; add chat: {} to each entry of models"
                )
        check_numbers(place, row, further_numbers)
        rows.append(row)
    return rows


def read_conversations(path: Path, dataset: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a data set, each with its place; texts for a template may be messages.

    Raises InputError, naming file and line, for a missing key and a value out of range.
    """
    check_as_recorded(path)
    chat_keys = CHAT_KEYS.get(dataset, ())
    for number, row in numbered_rows(path, TEXT_KEYS[dataset], chat_keys):
        place = f"{path}, line {number}"
        for key in chat_keys:
            if isinstance(row[key], list):
                row[key] = read_messages(row[key], f"{place}: {key}")
        check_numbers(place, row, number_keys(dataset))
        yield place, row


def number_keys(dataset: str) -> tuple[str, ...]:
    """Return the key of a data set's number, if it has one."""
    return (NUMBER_KEYS[dataset],) if dataset in NUMBER_KEYS else ()


def check_numbers(place: str, row: dict[str, Any], keys: Collection[str]) -> None:
    """Check that a row holds numbers between 0 and 1 under these keys.

    Raises InputError, naming the row's place, for a number that is missing or out of range.
    """
    for key in keys:
        value = row.get(key)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f'{place}: needs the key "{key}" with a number between 0 and 1')


def synthetic_rows(dataset: str, rows: int, seed: int) -> list[dict[str, Any]]:
    """Make a data set in the synthetic language; the same seed gives the same rows.

    Each data set draws from its own stream, so its size does not change the others.
    """
    stream = list(MAKERS).index(dataset)
    speaker = Speaker(np.random.default_rng([seed, stream]))
    return MAKERS[dataset](speaker, rows)


def _documents(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    lengths = speaker.random.integers(3, 9, size=rows)
    return [{"text": _text(speaker.document(int(length)))} for length in lengths]


def _comments(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    sentences = [speaker.document(1)[0] for _ in range(rows)]
    return [{"text": _text([sentence]), "toxic": int(sentence.insulting)} for sentence in sentences]


def _challenges(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    prompts: list[dict[str, Any]] = []
    while len(prompts) < rows:
        # A sentence precedes every second prompt: lengths differ, as in real data.
        document = speaker.document(1 + len(prompts) % 2)
        if document[-1].invitation >= CHALLENGING:
            prompts.append({"prompt": _open(document)})
    return prompts


def _references(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    documents = [speaker.document(2) for _ in range(rows)]
    return [
        {"prompt": " ".join(first.context), "gold": " ".join([*first.said, *second.words])}
        for first, second in documents
    ]


def _pairs(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    contexts = [speaker.document(1)[0] for _ in range(rows)]
    return [
        {
            "prompt": " ".join(sentence.context),
            "chosen": " ".join(speaker.in_register(sentence, insulting=False).said),
            "rejected": " ".join(speaker.in_register(sentence, insulting=True).said),
        }
        for sentence in contexts
    ]


def _demonstrations(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    pairs = _pairs(speaker, rows)
    return [{"prompt": pair["prompt"], "answer": pair["chosen"]} for pair in pairs]


def _words(speaker: Speaker, rows: int) -> list[dict[str, Any]]:
    return [{"word": word, "severity": severity} for word, severity in lexicon().items()]


def _text(sentences: list[Sentence]) -> str:
    return " ".join(word for sentence in sentences for word in sentence.words)


def _open(sentences: list[Sentence]) -> str:
    *before, last = sentences
    return " ".join([*(word for sentence in before for word in sentence.words), *last.context])


MAKERS: dict[str, Callable[[Speaker, int], list[dict[str, Any]]]] = {
    "challenge_prompts": _challenges,
    "labelled_comments": _comments,
    "lexicon": _words,
    "perplexity_text": _documents,
    "preference_pairs": _pairs,
    "reference_sentences": _references,
    "training_text": _documents,
    "demonstrations": _demonstrations,
}
"""The maker of each data set. Its position is the number of its random stream."""
