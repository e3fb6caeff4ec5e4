"""Servers that a URL may point at: real sockets, each connection answered by a function of the test."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from partner_platform.core.outside import OutsideClient
from partner_platform.core.outside.resolving import Resolver

LOOPBACK = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DRIP_SECONDS = 0.01
JSON = {"Content-Type": "application/json"}


class Receiver:
    """Listens until it is closed. `answer(connection)` speaks on each connection, on a thread of its own."""

    def __init__(self, answer: Callable[["Caller"], None], *, host: str = LOOPBACK, port: int = 0) -> None:
        self._answer = answer
        self._listener = socket.create_server((host, port), backlog=128)
        self.host, self.port = host, self._listener.getsockname()[1]
        self.tls: ssl.SSLContext | None = None
        self.connections = 0
        self.requests: list[bytes] = []
        self.is_over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    def close(self) -> None:
        self.is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError):
            sock.settimeout(10)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                self._answer(Caller(self, sock))


class Caller:
    """The other side of one connection."""

    def __init__(self, receiver: Receiver, sock: socket.socket) -> None:
        self.receiver, self.sock = receiver, sock

    def read_request(self) -> bytes:
        """The next request, whole; empty where the caller has closed the connection, or the test is over."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
            if not data:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._receive()
        request = head + b"\r\n\r\n" + body
        self.receiver.requests.append(request)
        return request

    def _receive(self) -> bytes:
        self.sock.settimeout(0.02)
        while not self.receiver.is_over.is_set():
            with suppress(TimeoutError):
                return self.sock.recv(65536)
        return b""

    def send(self, data: bytes) -> None:
        self.sock.settimeout(10)
        self.sock.sendall(data)

    def drip(self, data: bytes) -> int:
        """Send byte by byte with a pause after each; how many, until the caller has gone or the test is over."""
        for sent in range(len(data)):
            if self.receiver.is_over.wait(DRIP_SECONDS):
                return sent
            try:
                self.send(data[sent : sent + 1])
            except OSError:
                return sent
        return len(data)


@contextmanager
def receiver(answer: Callable[[Caller], None], *, host: str = LOOPBACK, port: int = 0) -> Iterator[Receiver]:
    listening = Receiver(answer, host=host, port=port)
    try:
        yield listening
    finally:
        listening.close()


def answering(response: bytes) -> Callable[[Caller], None]:
    """Each request gets this response; the connection is kept."""

    def answer(caller: Caller) -> None:
        while caller.read_request():
            caller.send(response)

    return answer


def answering_once(response: bytes) -> Callable[[Caller], None]:
    """The first request gets this response, then the connection is closed."""

    def answer(caller: Caller) -> None:
        caller.read_request()
        caller.send(response)

    return answer


class Names:
    """A name server: what each name has for addresses, and how often each was asked for."""

    def __init__(self, names: dict[str, list[str]] | None = None) -> None:
        self.names = names or {}
        self.asked: list[str] = []

    def __call__(self, name: str, *args: Any) -> list[tuple[Any, ...]]:
        self.asked.append(name)
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))
            for address in self.names[name]
        ]


@contextmanager
def outside_client(names: Names | None = None, **options: Any) -> Iterator[OutsideClient]:
    """A client that may reach this machine, with a name server of the test's own."""
    options = {"allowed_networks": ["127.0.0.0/8", "::1/128"], "timeout_seconds": 10.0, **options}
    client = OutsideClient(resolver=Resolver(names or Names()), **options)
    try:
        yield client
    finally:
        client.close()
