"""What a reply of the Perspective API means: scores, or one of its documented failures."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from dpo_neurons.scorers.backoff import requested_wait
from dpo_neurons.scorers.bounded_request import Reply
from dpo_neurons.scorers.endpoint import KEY_VARIABLE

EMPTY = "COMMENT_EMPTY"
TOO_LONG = "COMMENT_TOO_LONG"
LANGUAGE_ERRORS = ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "LANGUAGE_DETECTION_FAILED")
RATE_REASONS = {"RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded"}
QUOTA_REASONS = {"dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"}
DISABLED_REASONS = {"SERVICE_DISABLED", "accessNotConfigured", "BILLING_DISABLED"}
LONG_PERIOD = re.compile(r"per[ _-]?(day|month)|daily|monthly", re.IGNORECASE)
"""In the name of a quota, or in what is said of it: it is not renewed within minutes."""


class ServiceError(Exception):
    """The service refuses: what happened and the remedy, both without the key."""

    def __init__(self, happened: str, remedy: str) -> None:
        super().__init__(happened)
        self.happened = happened
        self.remedy = remedy


class TransientError(Exception):
    """A failure that may pass."""

    def __init__(
        self,
        happened: str,
        requested: float | None = None,
        remedy: str = "wait until the service is well",
    ) -> None:
        super().__init__(happened)
        self.requested = requested
        """Seconds that the service asks to wait, if it does."""
        self.remedy = remedy
        """What to do if it does not pass."""


class RefusedTextError(Exception):
    """The service does not score this text as it was sent, for a documented reason."""

    def __init__(self, error_type: str) -> None:
        super().__init__(error_type)
        self.error_type = error_type


def read_reply(reply: Reply, attributes: Sequence[str], key: str) -> dict[str, float]:
    """Read the score, in [0, 1], of each attribute from a reply.

    Raises TransientError, RefusedTextError or ServiceError for any other reply.
    """
    status, content = reply.status, _content(reply)
    if status == 200:
        return {name: _score(content, name) for name in attributes}
    reasons = _reasons(content)
    message = _message(content, key)
    if status == 429 or (status == 403 and _is_about_quota(content, reasons)):
        raise _quota_error(reply, content, reasons, message)
    if status == 408 or status >= 500:
        raise TransientError(f"HTTP {status}", requested_wait(reply.retry_after))
    if reasons & DISABLED_REASONS:
        raise ServiceError(
            f"the service is not enabled for the key's project (HTTP {status}{message})",
            "enable the Perspective Comment Analyzer API and billing for that project",
        )
    if status in (401, 403) or "API_KEY_INVALID" in reasons or "API key not valid" in message:
        raise ServiceError(
            f"the service refuses the key (HTTP {status}{message})",
            f"set {KEY_VARIABLE} to a key that it accepts",
        )
    for error_type in (EMPTY, TOO_LONG, *LANGUAGE_ERRORS):
        if status == 400 and error_type in reasons:
            raise RefusedTextError(error_type)
    raise ServiceError(
        f"the service refuses the request (HTTP {status}{message})",
        "check the scorer's endpoint, request_path, attributes and language",
    )


def _is_about_quota(content: object, reasons: set[str]) -> bool:
    status = _at(content, "error", "status")
    return status == "RESOURCE_EXHAUSTED" or bool(reasons & (RATE_REASONS | QUOTA_REASONS))


def _quota_error(
    reply: Reply, content: object, reasons: set[str], message: str
) -> ServiceError | TransientError:
    """Tell a quota that is used up, for which waiting minutes is no use, from a rate too high."""
    limits = [_at(detail, "metadata") for detail in _details(content)]
    names = [str(_at(limit, "quota_limit") or _at(limit, "quota_unit") or "") for limit in limits]
    is_zero = any(str(_at(limit, "quota_limit_value")) == "0" for limit in limits)
    if is_zero or reasons & QUOTA_REASONS or LONG_PERIOD.search(" ".join([*names, message])):
        return ServiceError(
            f"the key's quota is used up (HTTP {reply.status}{message})",
            "wait until it is renewed (a daily one at midnight Pacific time) or ask for a larger "
            "one",
        )
    return TransientError(
        f"HTTP {reply.status}",
        requested_wait(reply.retry_after),
        "lower the scorer's queries_per_second or run fewer jobs at once; if the key's quota is "
        "used up, wait until it is renewed",
    )


def _content(reply: Reply) -> object:
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        if reply.status == 200:
            raise TransientError("a reply that is not JSON") from None
        return None


def _score(content: object, attribute: str) -> float:
    value = _at(content, "attributeScores", attribute, "summaryScore", "value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise TransientError(f"a reply without a score of {attribute}")
    return float(value)


def _details(content: object) -> list[object]:
    """List what the service says of an error, in its newer and its older form."""
    lists = (_at(content, "error", "details"), _at(content, "error", "errors"))
    return [detail for details in lists if isinstance(details, list) for detail in details]


def _reasons(content: object) -> set[str]:
    return {str(_at(detail, "errorType") or _at(detail, "reason")) for detail in _details(content)}


def _message(content: object, key: str) -> str:
    """Return what the service says about an error, on one line and without the key."""
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
