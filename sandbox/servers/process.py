"""One child process: started with a log of its own, waited for until it is ready, stopped by pid, never outliving us.

On Linux the kernel ends a child when the thread that started it ends (PR_SET_PDEATHSIG), however that came about; so
children are started from the main thread. Each runs in a session of its own: Ctrl-C reaches us only, and we stop the
children in our order.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 2_000
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerError(Exception):
    """A server did not start, did not get ready in time, or ended by itself; the message ends with the end of its
    log.
    """


def wait_for(condition: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first true result of `condition`, polled; `ServerError` naming `what` once `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise ServerError(f"{what}: not after {seconds:g} s")
        time.sleep(POLL_SECONDS)


@dataclass
class Server:
    """A command to run, with its readiness check and its graceful end."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    orphan_signal: signal.Signals = signal.SIGTERM  # what the kernel sends it when we are gone
    popen: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        if self.popen is None:
            raise ServerError(f"{self.name} was not started")
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def launch(self) -> "Server":
        """Start the process and return at once; its output goes to the end of `log`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.popen = self._spawn(output)
        return self

    def start(self, *, seconds: float = 30.0) -> "Server":
        """Start the process and wait until it is ready."""
        return self.launch().wait_ready(seconds=seconds)

    def wait_ready(self, *, seconds: float = 30.0) -> "Server":
        """Wait for readiness; a process that ends or hangs on the way is a `ServerError` with the tail of its log."""
        try:
            wait_for(self._ready_or_dead, seconds=seconds, what=f"{self.name} is ready")
        except ServerError as error:
            self.stop()
            raise ServerError(f"{error}\n{self.last_words()}") from error
        return self

    def stop(self, *, asked: bool = False) -> None:
        """Ask it to end (unless it was `asked` already), insist after `stop_seconds`; doing so twice is harmless."""
        if self.popen is None:
            return
        if self.alive:
            if not asked:
                self.popen.send_signal(self.stop_signal)
            try:
                self.popen.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.popen.wait()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        if self.popen is not None and self.alive:
            self.popen.kill()
            self.popen.wait()

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def _ready_or_dead(self) -> bool:
        if not self.alive:
            code = self.popen.returncode if self.popen else None
            raise ServerError(f"{self.name} ended while starting (exit code {code})")
        return self.ready()

    def _spawn(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        try:
            return subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.env) if self.env is not None else None,
                cwd=self.cwd,
                user=self.user,
                group=_group_of(self.user),
                extra_groups=[] if self.user else None,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent, self.orphan_signal),  # noqa: PLW1509 - only async-signal-safe calls, libc loaded before
            )
        except OSError as error:
            raise ServerError(f"{self.name} cannot be started: {error}") from error


def _group_of(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid


def _die_with(parent: int, number: signal.Signals) -> None:
    """In the child, before exec: ask the kernel for a signal when the parent ends (and end now where it already
    has).
    """
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)
