"""The terminal output: progress with times, and the processes' logs as one stream."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

FOLLOW_SECONDS = 0.2


class Terminal:
    """Lines to a person; safe to use from the threads that follow logs."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.Lock()

    def say(self, text: str = "") -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            print(text, file=self._out, flush=True)

    def ask(self, question: str) -> bool | None:
        """Whether the user answers yes; None where there is no terminal."""
        if not sys.stdin.isatty():
            return None
        try:
            return input(question).strip().lower() in ("y", "yes")
        except EOFError:
            return False

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell that something is done, and how long it took; or that it failed."""
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.say(f"  fail  {what}")
            raise
        self.say(f"  ok    {what:<52}{time.monotonic() - began:5.1f} s")


class Follower:
    """Copies the lines that processes append to their logs to the terminal, each with its process' name."""

    def __init__(self, terminal: Terminal, logs: dict[str, Path]) -> None:
        self._terminal = terminal
        self._logs = logs
        self._read = {name: log.stat().st_size if log.exists() else 0 for name, log in logs.items()}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-logs", daemon=True)

    def start(self) -> "Follower":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Show what is left and end."""
        self._done.set()
        self._thread.join(timeout=2)

    def _follow(self) -> None:
        while not self._done.wait(FOLLOW_SECONDS):
            self._show_new()
        self._show_new()

    def _show_new(self) -> None:
        for name, log in self._logs.items():
            if not log.exists():
                continue
            with log.open("rb") as file:
                file.seek(self._read[name])
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]  # a line still being written waits
            self._read[name] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._terminal.say(f"{name:<7}| {line}")
