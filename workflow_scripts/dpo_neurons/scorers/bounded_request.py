"""One request to a service, with a deadline for the whole reply and a bound on its size.

The time limits of HTTP libraries are for each read: a service that sends a byte now and then would
never reach them. So a request runs in a thread, which is left behind when the time is over.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
import urllib3

T = TypeVar("T")

LARGEST_REPLY = 1_000_000
"""Bytes; scores of all attributes take a few thousand."""
READ_BYTES = 65_536
THREAD = "dpo-neurons-request"
URL_LOGGERS = ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")
"""They log addresses, and a key can be part of an address."""


@dataclass(frozen=True)
class Reply:
    """What a service answered."""

    status: int
    retry_after: str | None
    """The header of that name."""
    content: bytes


class NoReplyError(Exception):
    """No whole reply came; the text says why, without the address."""


class RequestSender:
    """Sends requests, one at a time."""

    def __init__(self) -> None:
        self._session = requests.Session()
        for name in URL_LOGGERS:
            logging.getLogger(name).addFilter(_is_of_another_thread)

    def post(
        self,
        address: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        body: object,
        seconds: float,
    ) -> Reply:
        """Post a body as JSON and return the reply, redirections not followed.

        seconds: for the whole of it, from the connection to the last byte.
        Raises NoReplyError if no whole reply comes in time, or one of more than LARGEST_REPLY.
        """
        session = self._session

        def exchange() -> Reply:
            with session.post(
                address,
                params=dict(parameters),
                json=body,
                timeout=seconds,
                headers={"Accept-Encoding": "identity", **headers},
                allow_redirects=False,  # they would carry the key elsewhere
                stream=True,
            ) as response:
                return Reply(
                    response.status_code, response.headers.get("Retry-After"), _read(response)
                )

        try:
            return _within(seconds, exchange)
        except TimeoutError:
            self._session = requests.Session()  # the thread left behind still uses the other
            raise NoReplyError(f"no whole reply in {seconds:g} seconds") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Its text holds the address, and so the key.
            raise NoReplyError(f"no reply ({type(error).__name__})") from None


def _read(response: Any) -> bytes:  # noqa: ANN401 - requests' raw response has no types
    content = b""
    for piece in response.raw.stream(READ_BYTES, decode_content=False):
        content += piece
        if len(content) > LARGEST_REPLY:
            raise NoReplyError(f"a reply of more than {LARGEST_REPLY} bytes")
    return content


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Do work in a thread; raises TimeoutError, and leaves the thread, if it takes longer."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name=THREAD, daemon=True).start()
    return outcome.result(timeout=seconds)


def _is_of_another_thread(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD
