"""How long to wait before a remote service is asked again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


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
    """How long to wait for a reply."""
    sleep: Callable[[float], None] = time.sleep

    def wait_seconds(self, failures: int, requested: float | None) -> float:
        """Seconds to wait after so many failures in a row, at least what the service requested.

        Exponential, and drawn evenly from zero up, so that parallel jobs do not come back at once.
        """
        if requested is not None:
            return requested + random.uniform(0, self.first_seconds)
        # The exponent is bounded because a float's is.
        longest = self.first_seconds * 2.0 ** min(failures - 1, 100)
        return random.uniform(0, min(self.longest_seconds, longest))


def requested_wait(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, in seconds or as a date; None without one."""
    if retry_after is None:
        return None
    value = retry_after.strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
