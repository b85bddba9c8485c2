"""The Perspective API or a compatible service: asks for the scores of a text."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.bounded_request import NoReplyError, RequestSender
from dpo_neurons.scorers.endpoint import PATH, check_endpoint
from dpo_neurons.scorers.perspective_reply import (
    EMPTY,
    LANGUAGE_ERRORS,
    TOO_LONG,
    RefusedTextError,
    ServiceError,
    TransientError,
    read_reply,
)
from dpo_neurons.scorers.score_store import ScoreStore, TextKey, name_owner

log = logging.getLogger("dpo_neurons")

UNDETECTED_LANGUAGE = "en"
"""Language to name when the service cannot detect it."""
POLL_SECONDS = 0.5
"""Between looks at what other jobs have asked."""
CLAIM_MARGIN_SECONDS = 30.0
"""A claim outlasts its request by so much; so long it stays if its job dies on another machine."""


@dataclass(frozen=True)
class Service:
    """Which service to ask, and how."""

    endpoint: str
    """Address before the path, such as https://commentanalyzer.googleapis.com."""
    language: str | None
    """Named in every request; None lets the service detect it."""
    queries_per_second: float
    path: str = PATH
    """Path of the requests."""
    header: str | None = None
    """Header of the key, and its scheme if it has one: "X-Api-Key", or "Authorization: Bearer"."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises InputError for an endpoint that is no plain address, and for a wrong rate.
        """
        check_endpoint(self.endpoint, "scorer.endpoint")
        if not (math.isfinite(self.queries_per_second) and self.queries_per_second > 0):
            raise InputError(
                f"scorer.queries_per_second: {self.queries_per_second} is no rate; "
                "write a number above 0, such as 1"
            )

    @property
    def name(self) -> str:
        """Name of the scorer in the store: another host or path is another scorer."""
        parts = urlsplit(self.endpoint)
        default = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in (None, default) else f":{parts.port}"
        # Perspective's own path goes without saying, as in stores of earlier versions.
        path = parts.path.rstrip("/") + ("" if self.path == PATH else self.path)
        return f"perspective {parts.hostname}{port}{path}"

    @property
    def address(self) -> str:
        """Where requests go."""
        return f"{self.endpoint.rstrip('/')}{self.path}"

    def place_key(self, key: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the parameters and the headers of a request, one of which holds the key."""
        if self.header is None:
            return {"key": key}, {}
        name, _, scheme = self.header.partition(":")
        return {}, {name: f"{scheme.strip()} {key}".strip()}

    def store_key(self, text: str) -> TextKey:
        """What a text's scores are kept under."""
        return TextKey(self.name, self.language or "", text)


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
        self._sender = RequestSender()
        self._owner = name_owner()

    def wait_for_slot(self) -> None:
        """Wait until it is this process's turn among all that share the store."""
        self._patience.sleep(self._reserve_slot())

    def claim(self, text: str) -> bool:
        """Claim a text, so that no other job asks for it; false if another has claimed it."""
        return self._claim(text, 0.0)

    def pause(self) -> None:
        """Wait a little for what other jobs ask."""
        self._patience.sleep(POLL_SECONDS)

    def ask(self, text: str, attributes: Sequence[str]) -> Answer:
        """Ask for a text's attributes, in a slot already waited for; the text is claimed.

        A failure that may pass is tried again. A text that the service takes for empty scores 0;
        one that it takes for too long is halved. Where it cannot detect the language, it is named.
        Raises ServiceError when the service refuses or the patience has ended.
        """
        try:
            return self._ask(text, attributes)
        except BaseException:
            self.release(text)
            raise

    def release(self, text: str) -> None:
        """End the claim on a text that will not be asked for."""
        self._store.release(self._service.store_key(text), self._owner)

    def _ask(self, text: str, attributes: Sequence[str]) -> Answer:
        sent, language, failures = text, self._service.language, 0
        while True:
            try:
                return Answer(self._try(sent, attributes, language), sent != text)
            except TransientError as error:
                failures += 1
                self._back_off(text, error, failures)
            except RefusedTextError as refusal:
                if refusal.error_type == EMPTY:
                    return Answer(dict.fromkeys(attributes, 0.0), sent != text, empty=True)
                if refusal.error_type == TOO_LONG and len(sent) > 1:
                    sent = sent[: len(sent) // 2]
                elif refusal.error_type in LANGUAGE_ERRORS and language is None:
                    language = UNDETECTED_LANGUAGE
                else:
                    raise _refused(refusal, language) from None
            self._sleep_with_claim(text, self._reserve_slot())

    def _back_off(self, text: str, error: TransientError, failures: int) -> None:
        patience = self._patience
        if failures >= patience.tries:
            raise ServiceError(
                f"{failures} tries in a row failed, the last with {error}", error.remedy
            ) from None
        if (error.requested or 0) > patience.longest_request_seconds:
            raise ServiceError(
                f"the service answers {error} and asks to wait {error.requested:.6g} seconds",
                "wait that long",
            ) from None
        wait = patience.wait_seconds(failures, error.requested)
        log.info("%s; try %d of %d in %.1f s", error, failures + 1, patience.tries, wait)
        self._sleep_with_claim(text, wait)

    def _sleep_with_claim(self, text: str, seconds: float) -> None:
        self._claim(text, seconds)
        self._patience.sleep(seconds)

    def _claim(self, text: str, seconds: float) -> bool:
        """Claim a text for some seconds and one request thereafter."""
        lasting = seconds + self._patience.reply_seconds + CLAIM_MARGIN_SECONDS
        return self._store.claim(self._service.store_key(text), self._owner, lasting)

    def _reserve_slot(self) -> float:
        interval = 1 / self._service.queries_per_second
        return self._store.reserve_slot(self._service.name, interval)

    def _try(self, text: str, attributes: Sequence[str], language: str | None) -> dict[str, float]:
        body: dict[str, Any] = {
            "comment": {"text": text},
            "requestedAttributes": {name: {} for name in attributes},
            "doNotStore": True,
        }
        if language is not None:
            body["languages"] = [language]
        parameters, headers = self._service.place_key(self._key)
        seconds = self._patience.reply_seconds
        try:
            reply = self._sender.post(self._service.address, parameters, headers, body, seconds)
        except NoReplyError as error:
            raise TransientError(str(error)) from None
        return read_reply(reply, attributes, self._key)


def _refused(refusal: RefusedTextError, language: str | None) -> ServiceError:
    if refusal.error_type in LANGUAGE_ERRORS:
        return ServiceError(
            f"the service does not score these attributes in language {language!r} "
            f"({refusal.error_type})",
            "set the scorer's language and attributes to what it offers together",
        )
    return ServiceError(
        f"the service refuses even a single character ({refusal.error_type})",
        "check the scorer's endpoint and request_path",
    )
