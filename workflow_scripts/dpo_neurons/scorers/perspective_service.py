"""The Perspective API, or a compatible service: a text in, its scores out, with patience."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.endpoint import check_endpoint
from dpo_neurons.scorers.perspective_reply import (
    EMPTY,
    LANGUAGE_ERRORS,
    TOO_LONG,
    RefusedTextError,
    ServiceError,
    TransientError,
    read_reply,
)
from dpo_neurons.scorers.score_store import ScoreStore

log = logging.getLogger("dpo_neurons")

UNDETECTED_LANGUAGE = "en"
"""Named when the service is to detect the language and cannot."""
URL_LOGGERS = ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")
"""They log addresses, and the key is part of the address."""


@dataclass(frozen=True)
class Service:
    """Which service is asked, and how."""

    endpoint: str
    """Address before /v1alpha1, such as https://commentanalyzer.googleapis.com."""
    language: str | None
    """Named in every request; None lets the service detect it."""
    queries_per_second: float

    def __post_init__(self) -> None:
        """Check the settings.

        Raises InputError for an endpoint that is no address or carries a secret, or a wrong rate.
        """
        check_endpoint(self.endpoint)
        if not (math.isfinite(self.queries_per_second) and self.queries_per_second > 0):
            raise InputError(
                f"scorer.queries_per_second: {self.queries_per_second} is no rate; "
                "write a number above 0, such as 1"
            )

    @property
    def name(self) -> str:
        """The scorer's name in the store: the same protocol elsewhere is another scorer."""
        parts = urlsplit(self.endpoint)
        default = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in (None, default) else f":{parts.port}"
        return f"perspective {parts.hostname}{port}{parts.path.rstrip('/')}"


@dataclass(frozen=True)
class Answer:
    """What the service says about one text."""

    scores: dict[str, float]
    """In [0, 1], by attribute."""
    cut: bool
    """The service took the text for too long, so only its beginning is scored."""
    empty: bool = False
    """The service took the text for empty."""


class PerspectiveClient:
    """Asks the service, one text at a time."""

    def __init__(self, service: Service, store: ScoreStore, key: str, patience: Patience) -> None:
        self._service = service
        self._store = store
        self._key = key
        self._patience = patience
        self._session = requests.Session()

    def wait_for_slot(self) -> None:
        """Wait until it is this process's turn among all that share the store."""
        interval = 1 / self._service.queries_per_second
        self._patience.sleep(self._store.reserve_slot(self._service.name, interval))

    def ask(self, text: str, attributes: Sequence[str]) -> Answer:
        """Ask for a text's attributes, in a slot already waited for.

        Failures that may pass are tried again; a text that the service takes for empty scores 0;
        one that it takes for too long is halved; where it cannot detect the language, it is named.
        Raises ServiceError when the service refuses or the patience has ended.
        """
        sent, language, failures = text, self._service.language, 0
        while True:
            try:
                return Answer(self._try(sent, attributes, language), sent != text)
            except TransientError as error:
                failures += 1
                self._back_off(error, failures)
            except RefusedTextError as refusal:
                if refusal.error_type == EMPTY:
                    return Answer(dict.fromkeys(attributes, 0.0), sent != text, empty=True)
                if refusal.error_type == TOO_LONG and len(sent) > 1:
                    sent = sent[: len(sent) // 2]
                elif refusal.error_type in LANGUAGE_ERRORS and language is None:
                    language = UNDETECTED_LANGUAGE
                else:
                    raise _refused(refusal, language) from None
            self.wait_for_slot()

    def _back_off(self, error: TransientError, failures: int) -> None:
        patience = self._patience
        if failures >= patience.tries:
            raise ServiceError(
                f"{failures} tries in a row failed, the last with {error}",
                "wait until the service is well",
            ) from None
        if (error.requested or 0) > patience.longest_request_seconds:
            raise ServiceError(
                f"the service answers {error} and asks to wait {error.requested:.0f} seconds",
                "wait that long",
            ) from None
        wait = patience.wait_seconds(failures, error.requested)
        log.info("%s; try %d of %d in %.1f s", error, failures + 1, patience.tries, wait)
        patience.sleep(wait)

    def _try(self, text: str, attributes: Sequence[str], language: str | None) -> dict[str, float]:
        body: dict[str, Any] = {
            "comment": {"text": text},
            "requestedAttributes": {name: {} for name in attributes},
            "doNotStore": True,
        }
        if language is not None:
            body["languages"] = [language]
        address = f"{self._service.endpoint.rstrip('/')}/v1alpha1/comments:analyze"
        with _silenced(URL_LOGGERS):
            try:
                response = self._session.post(
                    address,
                    params={"key": self._key},
                    json=body,
                    timeout=self._patience.reply_seconds,
                    allow_redirects=False,  # it would carry the key elsewhere
                )
            except requests.RequestException as error:
                # Its text holds the address, and so the key.
                raise TransientError(f"no reply ({type(error).__name__})") from None
        return read_reply(response, attributes, self._key)


def _refused(refusal: RefusedTextError, language: str | None) -> ServiceError:
    if refusal.error_type in LANGUAGE_ERRORS:
        return ServiceError(
            f"the service does not score these attributes in language {language!r} "
            f"({refusal.error_type})",
            "set scorer.language and scorer.attributes to what it offers together",
        )
    return ServiceError(
        f"the service refuses even a single character ({refusal.error_type})",
        "check scorer.endpoint",
    )


@contextmanager
def _silenced(names: Sequence[str]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
