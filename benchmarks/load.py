"""A load of HTTP GETs over persistent connections, cheap enough not to be what is measured."""

import re
import socket
import threading
import time
from dataclasses import dataclass

from sandbox.servers.ports import LOOPBACK

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A GET: port, path and headers."""

    port: int
    path: str
    headers: dict[str, str]

    def request(self) -> bytes:
        """The bytes to send."""
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {LOOPBACK}", *(f"{k}: {v}" for k, v in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()


def run(target: Target, *, seconds: float, clients: int) -> tuple[int, float]:
    """Ask with so many clients at once; how many answers came, all of them 200, and in how many seconds."""
    began = time.perf_counter()
    counts, errors = [0] * clients, []

    def ask(number: int) -> None:
        try:
            counts[number] = _ask_until(target, began + seconds)
        except (AssertionError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(counts), time.perf_counter() - began


def fetch_body(target: Target) -> bytes:
    """One answer's body."""
    with socket.create_connection((LOOPBACK, target.port)) as connection:
        connection.sendall(target.request())
        return _answer(connection)


def _ask_until(target: Target, deadline: float) -> int:
    request, count = target.request(), 0
    with socket.create_connection((LOOPBACK, target.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < deadline:
            connection.sendall(request)
            _answer(connection)
            count += 1
    return count


def _answer(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        assert more, "the server hung up"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), data[:2_000].decode(errors="replace")
    length = _LENGTH.search(head)
    assert length, head.decode()
    while len(body) < int(length[1]):
        body += connection.recv(65_536)
    return body
