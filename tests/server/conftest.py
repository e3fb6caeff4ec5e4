"""The web server in a thread of the test's process, and callers that speak to its socket byte by byte."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from partner_platform.server.serving import WebServer
from sandbox.servers.ports import LOOPBACK

PATIENCE = 20.0  # seconds that a test waits for what comes at once, or never


@dataclass
class Answer:
    """An HTTP answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Caller:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=PATIENCE)
        self._read = self.socket.makefile("rb")

    def send(self, data: bytes) -> "Caller":
        self.socket.sendall(data)
        return self

    def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer of the connection."""
        status = int(self._read.readline().split()[1])
        headers = {}
        while line := self._read.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return Answer(status, headers, self._read.read(int(headers["Content-Length"])) if has_body else b"")

    def is_closed(self) -> bool:
        """Whether nothing more comes; waits for it."""
        return self._read.read() == b""

    def close(self) -> None:
        self._read.close()
        self.socket.close()


@dataclass
class Running:
    """A server of the test's, and its callers."""

    port: int
    server: WebServer
    stack: ExitStack
    thread: threading.Thread | None = None

    def call(self, data: bytes = b"") -> Caller:
        caller = Caller(self.port)
        self.stack.callback(caller.close)
        return caller.send(data)


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start `Server` with an application; it ends with the test."""
    with ExitStack() as stack:

        def start(application: Any, *, threads: int = 4, connections: int = 1000) -> Running:
            listener = socket.create_server((LOOPBACK, 0))
            server = WebServer(application, listener, threads=threads, connections=connections)
            port = listener.getsockname()[1]
            thread = threading.Thread(target=server.serve, kwargs={"grace_seconds": 5})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.stop)
            return Running(port, server, stack, thread)

        yield start


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers what it was given, as JSON."""
    body = environ["wsgi.input"].read()
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "scriptName": environ["SCRIPT_NAME"],
        "length": environ.get("CONTENT_LENGTH"),
        "body": body.decode("latin-1"),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
