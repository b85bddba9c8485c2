"""A small model hub on loopback, good enough for the real huggingface_hub client to fetch from.

    with HubStandIn() as hub:
        revision = hub.add("model", "someone/tiny", folder)
        run(command, environment=hub.environment(cache))

It answers the three things the client asks: the listing of a commit (/api/…/tree), the head of a
file (/…/resolve, with checksum and size) and its content. Large files redirect to a store of their
own, as the hub's do. Failures are scripted with `fail`, `cut` and `delay`.
"""

import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".parquet", ".jsonl", ".csv", ".h5", ".msgpack", ".pth")
"""Endings of the files that the hub keeps by their checksum; the others are in the repository."""

NO_PROXY = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
"""Variables that keep a proxy out of the way."""


@dataclass
class Repository:
    """One commit of a repository."""

    kind: str
    name: str
    files: dict[str, bytes]
    revision: str

    @property
    def prefix(self) -> str:
        """Where its files are: /owner/name, or /datasets/owner/name."""
        return f"/{self.name}" if self.kind == "model" else f"/{self.kind}s/{self.name}"


@dataclass
class Failure:
    """What happens instead of an answer to requests whose "METHOD /path" matches."""

    pattern: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    bytes_sent: int | None = None
    """The connection breaks after this many bytes of the content."""
    seconds: float = 0
    """The answer comes this much later."""
    times: int = 1_000_000


class HubStandIn:
    """A hub that holds what is added to it; its requests are kept for tests to look at."""

    def __init__(self) -> None:
        self.repositories: list[Repository] = []
        self.failures: list[Failure] = []
        self.requests: list[str] = []
        """Each as "METHOD /path"."""
        self.tokens: list[str] = []
        """The Authorization header of each request, "" where there is none."""
        self.lock = threading.Lock()
        self.connections: list[socket.socket] = []
        self.server: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> "HubStandIn":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer; after a stop, at the same address."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def stop(self) -> None:
        """Answer no more: open connections end, and new ones are refused."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            for one in self.connections:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def add(self, kind: str, name: str, folder: Path) -> str:
        """Hold a folder as a commit of the repository, and return its revision (40 digits)."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        content = "".join(f"{path} {_sha256(data)}\n" for path, data in files.items())
        revision = hashlib.sha1(f"{kind} {name}\n{content}".encode()).hexdigest()
        self.repositories.append(Repository(kind, name, files, revision))
        return revision

    def environment(self, cache: Path, **further: str) -> dict[str, str]:
        """Variables under which huggingface_hub uses this hub, that cache and no token."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HF_") and name != "TRANSFORMERS_OFFLINE"
        }
        here = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(cache), **NO_PROXY}
        return inherited | here | further

    def fail(
        self, pattern: str, status: int, code: str = "", message: str = "", times: int = 1_000_000
    ) -> None:
        """Answer matching requests with a status, and the hub's own error code and message."""
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        sent = {name: value for name, value in headers.items() if value}
        self.failures.append(Failure(pattern, status, sent, message.encode(), times=times))

    def answer(self, pattern: str, body: bytes) -> None:
        """Answer matching requests with something else altogether."""
        self.failures.append(Failure(pattern, 200, body=body))

    def cut(self, pattern: str, bytes_sent: int, times: int = 1_000_000) -> None:
        """Break the connection off in the middle of matching contents."""
        self.failures.append(Failure(pattern, bytes_sent=bytes_sent, times=times))

    def delay(self, pattern: str, seconds: float) -> None:
        """Answer matching requests later."""
        self.failures.append(Failure(pattern, seconds=seconds))

    def failure(self, request: str) -> Failure | None:
        """The first failure that this request meets, used up by one."""
        with self.lock:
            for planned in self.failures:
                if planned.times > 0 and re.search(planned.pattern, request):
                    planned.times -= 1
                    return planned
        return None

    def named(self, prefix: str) -> Iterator[Repository]:
        """The commits of the repository whose files are under that prefix."""
        return (one for one in self.repositories if one.prefix == prefix)


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.append(self.connection)

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def log_message(self, *_: object) -> None:
        pass

    def _respond(self) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests.append(request)
            self.hub.tokens.append(self.headers.get("Authorization", ""))
        failure = self.hub.failure(request) or Failure("")
        time.sleep(failure.seconds)
        if failure.status:
            self._send(failure.status, failure.headers, failure.body)
        elif listing := re.fullmatch(r"/api/(model|dataset)s/(.+)/tree/([^/]+)", path):
            kind, name, revision = listing.groups()
            self._list(f"/{name}" if kind == "model" else f"/{kind}s/{name}", revision)
        elif resolved := re.fullmatch(r"(/.+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*resolved.groups(), failure.bytes_sent)
        elif stored := re.fullmatch(r"/large/([0-9a-f]{64})", path):
            contents = (data for one in self.hub.repositories for data in one.files.values())
            data = next(data for data in contents if _sha256(data) == stored[1])
            self._send_content(data, {"ETag": f'"{stored[1]}"'}, failure.bytes_sent)
        else:
            self._error(404, "RepoNotFound", "Repository not found")

    def _list(self, prefix: str, revision: str) -> None:
        if repository := self._repository(prefix, revision):
            entries = [_entry(path, data) for path, data in repository.files.items()]
            self._send(200, {"Content-Type": "application/json"}, json.dumps(entries).encode())

    def _resolve(self, prefix: str, revision: str, path: str, bytes_sent: int | None) -> None:
        repository = self._repository(prefix, revision)
        if repository is None:
            return
        if path not in repository.files:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        data = repository.files[path]
        commit = {"X-Repo-Commit": repository.revision}
        if path.endswith(LARGE):
            checksum = _sha256(data)
            linked = {
                "X-Linked-Etag": f'"{checksum}"',
                "X-Linked-Size": str(len(data)),
                # Another host by name, as the hub's store is: tokens are not sent there.
                "Location": f"http://localhost:{self.hub.port}/large/{checksum}",
            }
            self._send(302, commit | linked)
        else:
            self._send_content(data, commit | {"ETag": f'"{_git_id(data)}"'}, bytes_sent)

    def _repository(self, prefix: str, revision: str) -> Repository | None:
        commits = list(self.hub.named(prefix))
        for one in commits:
            if one.revision == revision:
                return one
        if commits:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            self._error(404, "RepoNotFound", "Repository not found")
        return None

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message})

    def _send_content(self, data: bytes, headers: dict[str, str], bytes_sent: int | None) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked:
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._send(206 if asked else 200, headers, data[start:], bytes_sent)

    def _send(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes = b"",
        bytes_sent: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:bytes_sent])
            self.close_connection = self.close_connection or bytes_sent is not None


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry = {"type": "file", "path": path, "size": len(data), "oid": _git_id(data)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
    return entry


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
