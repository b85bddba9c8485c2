"""The Perspective scorer: it asks for each text once and keeps the scores in a store."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.running.progress import Progress
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.endpoint import KEY_VARIABLE
from dpo_neurons.scorers.perspective_reply import ServiceError
from dpo_neurons.scorers.perspective_service import Answer, PerspectiveClient, Service
from dpo_neurons.scorers.score_store import ScoreStore

log = logging.getLogger("dpo_neurons")

LONGEST_BYTES = 20_000
"""Bytes of UTF-8 that the service reads of a text."""


def score_by_perspective(
    texts: Sequence[str],
    attributes: Sequence[str],
    service: Service,
    store: ScoreStore,
    key: str | None,
    patience: Patience,
) -> pd.DataFrame:
    """Score texts by attributes in [0, 1]; ask the service for what the store does not hold.

    Columns: toxicity, the largest of the attributes; then each attribute in small letters,
    TOXICITY as toxicity_attribute. A blank text is not sent and scores 0; a text longer than the
    service reads is cut. The key is needed only if something must be asked.
    Raises InputError if the service refuses, or fails for longer than the patience lasts.
    """
    attributes = list(dict.fromkeys(attributes))
    sent = [cut_to_bytes(text, LONGEST_BYTES) for text in texts]
    stored = _KeptScores(service, store, attributes)
    texts_sent = list(dict.fromkeys(text for text in sent if text.strip()))
    missing = [text for text in texts_sent if stored.missing(text)]
    blank = sum(not text.strip() for text in sent)
    cut = sum(short != text for short, text in zip(sent, texts, strict=True))
    log.info("%d texts: %d are blank and score 0; %d are cut", len(texts), blank, cut)
    log.info(
        "%d different texts to score, %d of them in %s",
        len(texts_sent),
        len(texts_sent) - len(missing),
        store.path,
    )
    if missing:
        _ask(missing, texts_sent, stored, key, patience)
    # Always from the store: another job may have been first with another reply.
    scores = {text: stored.scores(text) for text in texts_sent}
    nothing = dict.fromkeys(attributes, 0.0)
    return _table([scores.get(text, nothing) for text in sent], attributes)


def cut_to_bytes(text: str, longest: int) -> str:
    """Cut a text after at most `longest` bytes, between two characters."""
    return text.encode()[:longest].decode(errors="ignore")


@dataclass(frozen=True)
class _KeptScores:
    """What the store holds of the attributes asked for."""

    service: Service
    store: ScoreStore
    attributes: list[str]

    def scores(self, text: str) -> dict[str, float]:
        return self.store.find(self.service.store_key(text))

    def missing(self, text: str) -> list[str]:
        scores = self.scores(text)
        return [name for name in self.attributes if name not in scores]

    def keep(self, text: str, scores: dict[str, float]) -> None:
        self.store.keep(self.service.store_key(text), scores)


def _ask(
    missing: list[str],
    texts_sent: list[str],
    stored: _KeptScores,
    key: str | None,
    patience: Patience,
) -> None:
    if not key:
        raise InputError(
            f"{KEY_VARIABLE} is not set, but {len(missing)} of {len(texts_sent)} texts are not yet "
            f"in {stored.store.path}; put the key into the environment, or choose a scorer "
            "that runs here"
        )
    if stored.service.header is not None and not (key.isascii() and key.isprintable()):
        raise InputError(
            f"{KEY_VARIABLE}: holds a character that no header can hold; set it to the key alone"
        )
    client = PerspectiveClient(stored.service, stored.store, key, patience)
    done = len(texts_sent) - len(missing)
    progress = Progress(missing, desc="asking", unit="text", initial=done, total=len(texts_sent))
    try:
        answers = list(_ask_each(progress, stored, client))
    except ServiceError as error:
        done = sum(not stored.missing(text) for text in texts_sent)
        raise InputError(
            f"{stored.service.endpoint}: {error.happened}; {done} of {len(texts_sent)} texts are "
            f"scored and kept in {stored.store.path}; {error.remedy}, then run the same command "
            "again, which goes on from there"
        ) from None
    empty = sum(answer.empty for answer in answers)
    cut = sum(answer.cut for answer in answers)
    if empty or cut:
        log.info("the service took %d for empty, which score 0; %d are cut further", empty, cut)


def _ask_each(
    texts: Iterable[str], stored: _KeptScores, client: PerspectiveClient
) -> Iterator[Answer]:
    """Ask for each text that no other job has asked for or is asking for.

    What another job is asking for is looked at again at the end: its scores will have come, or
    the other job has died.
    """
    postponed: list[str] = []
    has_slot = False
    for text in chain(texts, _drain(postponed, client)):
        if not has_slot:
            client.wait_for_slot()
            has_slot = True
        if not stored.missing(text):
            continue  # another job has asked meanwhile
        if not client.claim(text):
            postponed.append(text)
            continue
        # Another job may have kept its scores just before the claim.
        attributes = stored.missing(text)
        if not attributes:
            client.release(text)
            continue
        answer = client.ask(text, attributes)
        stored.keep(text, answer.scores)
        has_slot = False
        yield answer


def _drain(postponed: list[str], client: PerspectiveClient) -> Iterator[str]:
    """Yield the postponed texts again and again, with pauses, until none is left."""
    while postponed:
        client.pause()
        texts = postponed.copy()
        postponed.clear()
        yield from texts


def _table(scores: list[dict[str, float]], attributes: list[str]) -> pd.DataFrame:
    columns = {"toxicity": [max(row[name] for name in attributes) for row in scores]}
    for name in attributes:
        column = "toxicity_attribute" if name == "TOXICITY" else name.lower()
        columns[column] = [row[name] for row in scores]
    return pd.DataFrame(columns, dtype="float64")
