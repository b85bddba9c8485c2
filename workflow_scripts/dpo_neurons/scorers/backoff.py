"""How long to wait before a remote service is asked again."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?", re.ASCII)


@dataclass(frozen=True)
class Patience:
    """How often and how slowly a service that fails is asked again."""

    tries: int = 10
    """Tries of one question in all."""
    first_seconds: float = 1.0
    """Longest wait after the first failure; it doubles with each further one."""
    longest_seconds: float = 60.0
    """Where that doubling ends."""
    longest_request_seconds: float = 3600.0
    """A service that asks to wait longer than this is taken to be gone for now."""
    reply_seconds: float = 60.0
    """Deadline of a whole reply."""
    sleep: Callable[[float], None] = time.sleep

    def wait_seconds(self, failures: int, requested: float | None) -> float:
        """Draw the seconds to wait after so many failures in a row.

        The wait is drawn evenly from zero to a bound that doubles with each failure, so parallel
        jobs do not return at once. It is never shorter than what the service requests.
        """
        # The exponent is bounded because a float's is.
        longest = self.first_seconds * 2.0 ** min(failures - 1, 100)
        wait = random.uniform(0, min(self.longest_seconds, longest))
        if requested is None:
            return wait
        return max(wait, requested + random.uniform(0, self.first_seconds))


def requested_wait(retry_after: str | None) -> float | None:
    """Read the seconds, 0 or more, that a Retry-After header asks for; None if it asks nothing.

    The header may hold seconds or a date (RFC 9110, section 10.2.3). Fractions and negative
    numbers, which the standard does not know, are read as they are meant; anything else is ignored.
    """
    value = (retry_after or "").strip()
    if SECONDS.fullmatch(value):
        return max(0.0, float(value))
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # whatever its parser meets
        return None
