"""Processes that serve one socket: started together, replaced when they die, ended together.

Parent and child hold the ends of a socket pair, the *line*. The child sends a byte over it each second: one that sends
none for `HANG_SECONDS` is killed, and another one started. Where the parent dies, however that came about, the line
ends, and so does the child.
"""

import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

HANG_SECONDS = 90.0
RESTART_SECONDS = 1.0  # at most one process for a place in that time: one that dies at once must not fill the machine
CHECK_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class Child:
    """A running process, and when it was started and last heard of (monotonic seconds)."""

    pid: int
    line: socket.socket
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)


class Prefork:
    """Keeps `count` processes running that each call `work(line)`, until SIGTERM or SIGINT.

    Those are passed on, after `on_stop`; what has not ended `stop_seconds` later is killed.
    """

    def __init__(
        self,
        work: Callable[[socket.socket], None],
        count: int,
        *,
        stop_seconds: float,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._on_stop = work, on_stop
        self._places: list[Child | None] = [None] * count
        self._last_starts = [-RESTART_SECONDS] * count
        self._stop_seconds = stop_seconds
        self._stop_by: float | None = None

    def run(self) -> None:
        """Return when all processes have ended."""
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        while self._stop_by is None or self._children():
            if self._stop_by is None:
                self._fill()
            self._listen()
            self._kill_overdue()

    def _children(self) -> list[Child]:
        return [child for child in self._places if child is not None]

    def _pass_on(self, number: int, frame: object) -> None:
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_seconds
            self._on_stop()
        for child in self._children():
            os.kill(child.pid, signal.SIGTERM)  # it was not waited for yet, so the number is still its own

    def _fill(self) -> None:
        now = time.monotonic()
        for place, child in enumerate(self._places):
            if child is None and now - self._last_starts[place] >= RESTART_SECONDS:
                self._last_starts[place] = now
                self._start(place)

    def _start(self, place: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between the fork and the note of the child would pass it by, and so would one just before.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if self._stop_by is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        ours, its = socket.socketpair()
        pid = os.fork()
        if pid:
            its.close()
            self._places[place] = Child(pid, ours)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        ours.close()
        self._be_child(its)

    def _be_child(self, line: socket.socket) -> None:
        code = 1
        try:
            for child in self._children():
                child.line.close()
            # `work` sets its own handlers; a signal that came meanwhile ends the child, which has begun nothing.
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._work(line)
            code = 0
        except BaseException:
            logger.exception("web process %d failed", os.getpid())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # not the parent's way out: that one's exit handlers are not ours to run

    def _listen(self) -> None:
        by_line = {child.line: place for place, child in enumerate(self._places) if child is not None}
        for line in select.select(list(by_line), [], [], CHECK_SECONDS)[0]:
            child = self._places[by_line[line]]
            if child is not None and line.recv(4096):
                child.heard = time.monotonic()
            elif child is not None:
                self._bury(by_line[line], child)

    def _bury(self, place: int, child: Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._places[place] = None
        child.line.close()
        if self._stop_by is None:
            code = os.waitstatus_to_exitcode(status)
            logger.error("web process %d ended (exit code %d), another one is started", child.pid, code)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for child in self._children():
            is_late = self._stop_by is not None and now > self._stop_by
            if is_late or now - child.heard > HANG_SECONDS:
                logger.error("web process %d %s: killed", child.pid, "does not end" if is_late else "hangs")
                child.heard = now
                os.kill(child.pid, signal.SIGKILL)
