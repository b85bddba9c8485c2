"""Failures of a hub, each as one sentence with the remedy."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import DISK_FULL, NO_LOCKS


class Pin(NamedTuple):
    """A repository of a hub at one commit."""

    repository: str
    """owner/name"""
    revision: str
    """40 hexadecimal digits; a branch would mean other files tomorrow."""
    kind: str
    """model or dataset"""

    @property
    def page(self) -> str:
        """Address of the repository's page."""
        folder = "" if self.kind == "model" else f"{self.kind}s/"
        return f"{_endpoint()}/{folder}{self.repository}"


@contextmanager
def hub_errors_explained(pin: Pin) -> Iterator[None]:
    """Turn what huggingface_hub raises in the block into an InputError.

    The libraries' own messages are dropped: they can hold the token or a signed address.
    """
    try:
        yield
    except (OSError, ValueError, httpx2.HTTPError, httpx2.InvalidURL, XetDownloadError) as error:
        sentence = _sentence(_cause(error), pin)
        if sentence is None:
            raise
        # No cause either: a traceback would print it.
        raise InputError(f"{pin.repository}: {sentence}") from None


def _cause(error: BaseException) -> BaseException:
    # "Not in the cache" is raised from the error that kept the hub from being asked.
    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _sentence(error: BaseException, pin: Pin) -> str | None:
    if isinstance(error, HFValidationError):
        return 'no name of a repository; give it as "owner/name"'
    if isinstance(error, HfHubHTTPError):
        return _answer(error, pin)
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
        return f"offline mode is on (HF_HUB_OFFLINE) and {_not_cached(pin)}"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return f"{_endpoint()} cannot be reached and {_not_cached(pin)}, or HF_ENDPOINT to a mirror"
    if isinstance(error, httpx2.LocalProtocolError | UnicodeEncodeError):
        return "the token in HF_TOKEN has characters that no token has; set it again"
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return "HF_ENDPOINT is no address; it must begin with https:// or http://"
    if isinstance(error, FileMetadataError | json.JSONDecodeError):
        return (
            f"{_endpoint()} does not answer as a hub does; check HF_ENDPOINT, "
            "and whether a proxy or a login page answers in its place"
        )
    if isinstance(error, httpx2.TransportError | XetDownloadError):
        return (
            f"the connection to {_endpoint()} broke off; run the same command again, files that "
            "were fetched whole are kept"
        )
    return _disk(error) if isinstance(error, OSError) else None


def _answer(error: HfHubHTTPError, pin: Pin) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return (
            f"the licence has to be accepted first; do so at {pin.page}, then set HF_TOKEN to a "
            "token of that account"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"no commit {pin.revision} in it; those there are: {pin.page}/commits/main"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"no such {pin.kind} at {_endpoint()}, or a private one; check the name, and for a "
            "private one set HF_TOKEN to a token that may read it"
        )
    if status == 401:
        return "the token is not accepted; set HF_TOKEN to a valid one, or run 'hf auth login'"
    if status == 429:
        return "the hub asks for fewer requests; wait some minutes and run again, or set HF_TOKEN"
    if status >= 500:
        return f"{_endpoint()} has a failure of its own (status {status}); run again later"
    return f"{_endpoint()} refuses with status {status}; look at {pin.page} for the reason"


def _not_cached(pin: Pin) -> str:
    kind = "" if pin.kind == "model" else f" --repo-type {pin.kind}"
    return (
        f"not all of it is in the cache {constants.HF_HUB_CACHE}; where there is a network run "
        f"'hf download {pin.repository}{kind} --revision {pin.revision}', or set HF_HOME to a "
        "cache that has it"
    )


def _disk(error: OSError) -> str | None:
    if error.errno in DISK_FULL:
        return (
            f"the disk of the cache {constants.HF_HUB_CACHE} is full; free some space or set "
            "HF_HOME to a folder on a larger disk"
        )
    if isinstance(error, PermissionError):
        return (
            f"may not write to the cache {constants.HF_HUB_CACHE}; set HF_HOME to a folder that "
            "you may write to"
        )
    if error.errno in NO_LOCKS:
        return (
            f"the cache {constants.HF_HUB_CACHE} is on a file system without locks; set HF_HOME "
            "to a folder on a local disk"
        )
    if error.errno is None and "Consistency check failed" in str(error):
        return "a file came in another size than the hub said; run the same command again"
    return None


def _endpoint() -> str:
    """Return the hub's address without name, password and query, which a mirror's can hold."""
    return re.sub(r"[?#].*", "", re.sub(r"//.*@", "//", constants.ENDPOINT))
