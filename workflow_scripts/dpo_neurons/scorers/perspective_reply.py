"""What a reply of the Perspective API means: scores, or which of its documented failures."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import requests

from dpo_neurons.scorers.backoff import requested_wait
from dpo_neurons.scorers.endpoint import KEY_VARIABLE

EMPTY = "COMMENT_EMPTY"
TOO_LONG = "COMMENT_TOO_LONG"
LANGUAGE_ERRORS = ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "LANGUAGE_DETECTION_FAILED")


class ServiceError(Exception):
    """The service cannot go on: what happened and the remedy, both free of the key."""

    def __init__(self, happened: str, remedy: str) -> None:
        super().__init__(happened)
        self.happened = happened
        self.remedy = remedy


class TransientError(Exception):
    """A failure that may pass, with the seconds that the service asks to wait, if it does."""

    def __init__(self, happened: str, requested: float | None = None) -> None:
        super().__init__(happened)
        self.requested = requested


class RefusedTextError(Exception):
    """The service does not score this text as it was sent, for a documented reason."""

    def __init__(self, error_type: str) -> None:
        super().__init__(error_type)
        self.error_type = error_type


def read_reply(
    response: requests.Response, attributes: Sequence[str], key: str
) -> dict[str, float]:
    """Read the score, in [0, 1], of each attribute from a reply.

    Raises TransientError, RefusedTextError or ServiceError for any other reply.
    """
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise TransientError(f"HTTP {status}", requested_wait(response.headers.get("Retry-After")))
    content = _content(response)
    if status == 200:
        return {name: _score(content, name) for name in attributes}
    reasons = _reasons(content)
    said = _said(content, key)
    if status in (401, 403) or "API_KEY_INVALID" in reasons or "API key not valid" in said:
        raise ServiceError(
            f"the service refuses the key (HTTP {status}{said})",
            f"set {KEY_VARIABLE} to a key that it accepts",
        )
    for error_type in (EMPTY, TOO_LONG, *LANGUAGE_ERRORS):
        if status == 400 and error_type in reasons:
            raise RefusedTextError(error_type)
    raise ServiceError(
        f"the service refuses the request (HTTP {status}{said})",
        "check scorer.endpoint, scorer.attributes and scorer.language",
    )


def _content(response: requests.Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError):
        if response.status_code == 200:
            raise TransientError("a reply that is not JSON") from None
        return None


def _score(content: object, attribute: str) -> float:
    value = _at(content, "attributeScores", attribute, "summaryScore", "value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise TransientError(f"a reply without a score of {attribute}")
    return float(value)


def _reasons(content: object) -> set[str]:
    details = _at(content, "error", "details")
    found = details if isinstance(details, list) else []
    return {str(_at(each, "errorType") or _at(each, "reason")) for each in found}


def _said(content: object, key: str) -> str:
    """What the service says about an error, in one line and without the key."""
    message = _at(content, "error", "message")
    if not isinstance(message, str):
        return ""
    for form in (key, quote(key, safe=""), quote_plus(key)):
        message = message.replace(form, "…")
    return f": {' '.join(message.split())[:200]}"


def _at(content: object, *keys: str) -> Any:  # noqa: ANN401 - a reply may hold any JSON
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
