"""A receiver in another process, and senders that deliver to it."""

import json
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings

from sandbox.folder import PROJECT
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.servers.process import Server
from webhooks.secrets import new_secret

SEED = 12


@dataclass(frozen=True)
class RunningReceiver:
    """Where it listens, and the secret that it verifies with."""

    port: int
    secret: str

    def url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.port}{path}"

    def books(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url("/books"), timeout=10) as answer:
            return dict(json.load(answer))

    def taken(self, path: str) -> list[dict[str, Any]]:
        return [entry for entry in self.books()["taken"] if entry["path"] == path]


@pytest.fixture
def start_receiver() -> Iterator[Callable[[], RunningReceiver]]:
    """Starts a receiver (`tests.webhooks.receiver`); all are ended with the test."""
    with ExitStack() as stack:

        def start() -> RunningReceiver:
            receiver = RunningReceiver(free_port(), new_secret())
            command = [sys.executable, "-m", "tests.webhooks.receiver", str(receiver.port), receiver.secret, str(SEED)]
            log = settings.TEST_FOLDER / f"receiver-{uuid.uuid4().hex}.log"
            server = Server("receiver", command, log, ready=lambda: _answers(receiver), cwd=PROJECT)
            stack.callback(server.stop)
            server.start()
            return receiver

        yield start


def _answers(receiver: RunningReceiver) -> bool:
    try:
        return bool(receiver.books())
    except OSError:
        return False
