"""A Perspective API on loopback: it answers as documented, or fails as configured."""

import hashlib
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "sesame/open+me%3d"
"""With characters that look different in an address."""
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "INSULT", "THREAT", "SEXUALLY_EXPLICIT")
LANGUAGES = {"SEXUALLY_EXPLICIT": ("en",)}
"""Of attributes that know fewer languages than the others."""
ALL_LANGUAGES = ("en", "de", "it")
LONGEST_BYTES = 20_480

TWO = ["TOXICITY", "INSULT"]
"""Attributes to ask for where it does not matter which."""
FAST = 1e6
"""Queries a second, where none has to wait for its turn."""


@dataclass(frozen=True)
class Request:
    """What was asked, and when."""

    time: float
    key: str | None
    body: dict
    in_header: str | None = None

    @property
    def text(self):
        return self.body["comment"]["text"]


@dataclass
class StandIn:
    """What the service has been asked, and what it is to do next."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    script: deque = field(default_factory=deque)
    """What to do with the next requests, whatever they ask; afterwards it answers."""
    always: Callable | None = None
    """What to do with every request instead of answering."""
    latency: float = 0.0
    path: str = "/v1alpha1/comments:analyze"
    header: str | None = None
    """Header of the key; without it, the key is a parameter."""
    longest_bytes: int = LONGEST_BYTES

    @property
    def texts(self):
        return [request.text for request in self.requests]


def score_of(text, attribute):
    """The stand-in's opinion: any number in [0, 1), always the same for the same text."""
    digest = hashlib.sha256(f"{attribute}|{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def expected(texts, attribute):
    """The stand-in's opinion of each text."""
    return [score_of(text, attribute) for text in texts]


def detected_language(text):
    """The language of a text: `de:` or `it:` before it says which, `??` that none is found."""
    prefix = text[:3]
    return {"de:": "de", "it:": "it", "xx:": "xx"}.get(prefix, None if prefix[:2] == "??" else "en")


def answer(request, service):
    """Status and content for a request, as documented."""
    key = request.key if service.header is None else (request.in_header or "").split(" ")[-1]
    if not key:
        return refusal(403, "Method doesn't allow unregistered callers.")
    if key != KEY:
        return refusal(400, f"API key not valid: {key}.", reason="API_KEY_INVALID")
    text, asked = request.text, request.body["requestedAttributes"]
    if not text.strip():
        return refusal(400, "Comment must be non-empty.", errorType="COMMENT_EMPTY")
    if len(text.encode()) > service.longest_bytes:
        return refusal(400, "Comment text was too many bytes.", errorType="COMMENT_TOO_LONG")
    unknown = set(asked) - set(ATTRIBUTES)
    if unknown:
        return refusal(400, f"Unknown requested attribute: {min(unknown)}")
    language = request.body.get("languages", [detected_language(text)])[0]
    if language is None:
        return refusal(400, "Unable to detect language.", errorType="LANGUAGE_DETECTION_FAILED")
    for attribute in asked:
        if language not in LANGUAGES.get(attribute, ALL_LANGUAGES):
            said = f"Attribute {attribute} does not support request languages: {language}"
            return refusal(400, said, errorType="LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE")
    return 200, content(text, asked)


def content(text, attributes):
    """A reply with scores."""
    scores = {
        name: {
            "spanScores": [{"begin": 0, "end": len(text), "score": {"value": 0.5}}],
            "summaryScore": {"value": score_of(text, name), "type": "PROBABILITY"},
        }
        for name in attributes
    }
    return {"attributeScores": scores, "languages": ["en"], "detectedLanguages": ["en"]}


def reply_to(asked):
    """The bytes of a reply with scores to a request."""
    return json.dumps(content(asked.text, asked.body["requestedAttributes"])).encode()


def refusal(status, message, **detail):
    """A reply with an error, in the form of Google's services."""
    error = {"code": status, "message": message, "status": "INVALID_ARGUMENT"}
    return status, {"error": error | ({"details": [detail]} if detail else {})}


def fails(status, retry_after=None, body=b'{"error": {"message": "not now"}}'):
    """Answer with an HTTP error."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler, request: handler.reply(status, body, headers)


def says(body, status=200):
    """Answer with these bytes, or this JSON."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler, request: handler.reply(status, encoded)


def resets(handler, request):
    """Break the connection without a reply."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True


def stops_halfway(handler, request):
    """Promise more bytes than come."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"attributeScores": {')
    handler.close_connection = True


def drips(beginning, seconds):
    """Answer endlessly, a byte now and then: first these bytes, then spaces."""

    def slow(handler, request):
        try:
            handler.wfile.write(beginning)
            for _ in range(int(seconds / 0.05)):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass  # whoever asked has left
        handler.close_connection = True

    return slow


def floods(megabytes):
    """Answer with far too much, in one piece after the other."""

    def much(handler, request):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(megabytes):
                handler.wfile.write(b" " * 1_000_000)
        except OSError:
            pass
        handler.close_connection = True

    return much


def sleeps(seconds):
    """Answer too late."""

    def slow(handler, request):
        time.sleep(seconds)
        handler.reply(503, b"")

    return slow


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        service = self.server.service
        parts = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = parse_qs(parts.query).get("key", [None])[0]
        in_header = self.headers.get(service.header) if service.header else None
        request = Request(time.time(), key, body, in_header)
        with self.server.lock:
            service.requests.append(request)
            action = service.script.popleft() if service.script else service.always
        time.sleep(service.latency)
        if parts.path != service.path:
            self.reply(404, b"<html>Not Found</html>")
        elif action is not None:
            action(self, request)
        else:
            status, reply = answer(request, service)
            self.reply(status, json.dumps(reply).encode())

    def reply(self, status, body, headers=None):
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # whoever asked has left

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self.lock = threading.Lock()


@contextmanager
def standing_in(**settings):
    """A running stand-in for the block; its settings are those of StandIn."""
    service = StandIn(**settings)
    server = _Server(service)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def waits(slept):
    """Sleeps that were none of waiting for a slot."""
    return [seconds for seconds in slept if seconds > 2 / FAST]
