"""The Perspective scorer: each text is asked for once, and its scores are kept in a store."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
"""The service takes 20 KB of UTF-8 a text."""


def score_by_perspective(
    texts: Sequence[str],
    attributes: Sequence[str],
    service: Service,
    store: ScoreStore,
    key: str | None,
    patience: Patience,
) -> pd.DataFrame:
    """Score texts by attributes in [0, 1]; what the store does not hold is asked of the service.

    toxicity: the largest of the attributes. Then each attribute in small letters; TOXICITY as
    toxicity_attribute. A blank text is not sent and scores 0; one longer than the service reads
    is cut. The key is needed only if something must be asked.
    Raises InputError if the service refuses, or fails for longer than the patience lasts.
    """
    attributes = list(dict.fromkeys(attributes))
    sent = [cut_to_bytes(text, LONGEST_BYTES) for text in texts]
    stored = _Kept(service, store, attributes)
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
    """The longest beginning of a text that takes at most `longest` bytes, in whole characters."""
    return text.encode()[:longest].decode(errors="ignore")


@dataclass(frozen=True)
class _Kept:
    """What the store holds of what is asked for."""

    service: Service
    store: ScoreStore
    attributes: list[str]

    @property
    def _language(self) -> str:
        return self.service.language or ""

    def scores(self, text: str) -> dict[str, float]:
        return self.store.find(self.service.name, self._language, text)

    def missing(self, text: str) -> list[str]:
        found = self.scores(text)
        return [name for name in self.attributes if name not in found]

    def keep(self, text: str, scores: dict[str, float]) -> None:
        self.store.keep(self.service.name, self._language, text, scores)


def _ask(
    missing: list[str],
    texts_sent: list[str],
    stored: _Kept,
    key: str | None,
    patience: Patience,
) -> None:
    if not key:
        raise InputError(
            f"{KEY_VARIABLE} is not set, but {len(missing)} of {len(texts_sent)} texts are not yet "
            f"in {stored.store.path}; put the key into the environment, or set scorer.kind to a "
            "scorer that runs here"
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
    empty, cut = sum(one.empty for one in answers), sum(one.cut for one in answers)
    if empty or cut:
        log.info("the service took %d for empty, which score 0; %d are cut further", empty, cut)


def _ask_each(texts: Iterable[str], stored: _Kept, client: PerspectiveClient) -> Iterator[Answer]:
    """Ask for each text that nobody has asked for yet."""
    has_slot = False
    for text in texts:
        if not has_slot:
            client.wait_for_slot()
            has_slot = True
        attributes = stored.missing(text)
        if not attributes:
            continue  # another job has asked meanwhile
        answer = client.ask(text, attributes)
        stored.keep(text, answer.scores)
        has_slot = False
        yield answer


def _table(scores: list[dict[str, float]], attributes: list[str]) -> pd.DataFrame:
    columns = {"toxicity": [max(row[name] for name in attributes) for row in scores]}
    for name in attributes:
        column = "toxicity_attribute" if name == "TOXICITY" else name.lower()
        columns[column] = [row[name] for row in scores]
    return pd.DataFrame(columns, dtype="float64")
