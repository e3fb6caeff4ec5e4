"""Forked processes: Django and the world are warm in the parent, so that one costs hundredths of a second, not two."""

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from django.core.cache import caches
from django.db import connections

from tests.crash.points import Points
from tests.support.snapshots import forget

FAILED = 70


@dataclass(frozen=True)
class Ended:
    """How a process ended, and the points it passed until then."""

    killed: bool
    points: list[str]


def run(body: Callable[[], None], *, kill_at: int | None = None) -> Ended:
    """Run `body` in a process of its own, killed at its point `kill_at`; what it raises fails the caller."""
    connections.close_all()  # a connection, and SQLite's locks above all, must not cross a fork
    caches.close_all()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _live(body, writer, kill_at)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        *points, last = pipe.read().split("\0")
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, f"a process ended with {status}: {last}"
    return Ended(killed, points)


def _live(body: Callable[[], None], writer: int, kill_at: int | None) -> NoReturn:
    code = FAILED
    try:
        forget()
        Points(note=lambda point: _tell(writer, point + "\0"), kill_at=kill_at).install()
        body()
        code = 0
    except BaseException:  # noqa: BLE001 - told to the parent; nothing may reach pytest's stack in this process
        _tell(writer, traceback.format_exc())
    finally:
        os._exit(code)


def _tell(writer: int, text: str) -> None:
    os.write(writer, text.encode())
