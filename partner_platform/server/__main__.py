"""`python -m partner_platform.server`: the web server of the platform, in the sandbox and in the image."""

import argparse
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

from waitress import wasyncore

from partner_platform.server import limits
from partner_platform.server.prefork import Prefork

DEFAULT_THREADS = 32
OTHER_FILES = 256  # of a process, beside its connections: databases, Redis, nodes
STOP_MARGIN_SECONDS = 2.0


class Line(wasyncore.dispatcher):
    """The child's end of the line to its parent: where it ends, the parent has died."""

    def __init__(self, sock: socket.socket, server: Any) -> None:
        super().__init__(sock, map=server._map)  # noqa: SLF001 - wasyncore's name for it
        self.connected = True
        self._server = server

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        self.recv(1)

    def handle_close(self) -> None:
        self.close()
        self._server.stop()

    def say_alive(self) -> None:
        """Send a sign of life to the parent; never block on one that is gone or does not read."""
        if self.connected:
            self.send(b".")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = _options(arguments)
    os.environ["WEB_THREADS"] = str(options.threads)  # the platform shares them out among its callers
    module, _, name = options.application.partition(":")
    application = getattr(importlib.import_module(module), name or "application")  # once, for all processes
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it would warn of each request that waits for a thread
    listener = _listen(options.bind)

    def work(line: socket.socket) -> None:
        from partner_platform.server.serving import WebServer

        server = WebServer(application, listener, threads=options.threads, connections=_connections())
        parent = Line(line, server)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        server.serve(grace_seconds=options.grace, each_step=parent.say_alive)

    # The parent holds the socket too: with it open, callers would still connect at the end, to wait for nobody.
    stop_seconds = options.grace + STOP_MARGIN_SECONDS
    Prefork(work, options.processes, stop_seconds=stop_seconds, on_stop=listener.close).run()
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="partner_platform.server", description=__doc__)
    parser.add_argument("application", nargs="?", default="partner_platform.wsgi", help="module[:name] (%(default)s)")
    parser.add_argument("--bind", default="127.0.0.1:8000", metavar="HOST:PORT", help="%(default)s")
    parser.add_argument("--processes", type=int, default=2, help="%(default)s")
    threads = int(os.environ.get("WEB_THREADS", DEFAULT_THREADS))
    parser.add_argument("--threads", type=int, default=threads, help="of each process (WEB_THREADS, or %(default)s)")
    parser.add_argument(
        "--grace", type=float, default=30.0, metavar="SECONDS", help="for what was begun, at the end (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.processes < 1 or options.threads < 1:
        parser.error("--processes and --threads must be at least 1")
    return options


def _listen(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=limits.BACKLOG)


def _connections() -> int:
    """As many as `limits` says, or as the system lets this process have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return (
        limits.CONNECTIONS if soft == resource.RLIM_INFINITY else min(limits.CONNECTIONS, max(32, soft - OTHER_FILES))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
