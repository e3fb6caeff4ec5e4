"""Keeps the sandbox's processes alive, and ends them in order."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from sandbox.servers.process import Server, ServerError
from sandbox.terminal import Terminal

CHECK_SECONDS = 0.2
RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0


@dataclass
class Supervisor:
    """Children are ended in the reverse order of their starts.

    Those that hold state (`vital`) are never restarted, because the other processes rely on that state: the sandbox
    ends with them. The others are restarted, unless they die too often.
    """

    terminal: Terminal
    children: list[tuple[Server, bool]] = field(default_factory=list)
    _restarts: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: Server, *, vital: bool = False) -> Server:
        """Launch it and look after it from now on."""
        server.launch()
        self.children.append((server, vital))
        return server

    def watch(self, stopping: Callable[[], bool]) -> None:
        """Until `stopping`; `ServerError` where a vital child ended or another one keeps dying."""
        while not stopping():
            for server, vital in self.children:
                if not server.alive and not stopping():
                    self._revive(server, vital)
            time.sleep(CHECK_SECONDS)

    def stop(self) -> None:
        """End all: first those that use the others, all of them at once, then the vital ones."""
        users = [server for server, vital in self.children if not vital]
        for server in users:
            if server.alive and server.popen is not None:
                with suppress(ProcessLookupError):
                    server.popen.send_signal(server.stop_signal)
        for server in users:
            server.stop(asked=True)
        for server, vital in reversed(self.children):
            if vital:
                server.stop()
        self.children.clear()

    def _revive(self, server: Server, vital: bool) -> None:
        code = server.popen.returncode if server.popen else None
        if vital:
            raise ServerError(f"{server.name} ended (exit code {code}), so the sandbox ends\n{server.last_words()}")
        now = time.monotonic()
        recent = [at for at in self._restarts.get(server.name, []) if now - at < RESTART_WINDOW_SECONDS]
        if len(recent) >= RESTARTS:
            raise ServerError(f"{server.name} ended {RESTARTS + 1} times within a minute\n{server.last_words()}")
        self._restarts[server.name] = [*recent, now]
        self.terminal.say(f"sandbox| {server.name} ended (exit code {code}), starting it again")
        server.launch()
