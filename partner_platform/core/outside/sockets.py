"""Sockets whose every wait is limited by one deadline, and that receive a limited number of bytes.

A time-out of a socket is for one system call: a server that sends a byte a second never exceeds it. So the time that is
left is set anew before each call. The classes take the place of Python's own, below TLS and HTTP; neither can pass by.
"""

import socket
import ssl
import time
from collections.abc import Sequence

from partner_platform.core.outside.addresses import Address
from partner_platform.core.outside.errors import Kind, OutsideError

MAX_BODY = 64 * 1024
MAX_HEAD = 32 * 1024  # with what is read ahead of the body
_FRAMING = 64 * 1024  # for the sizes between chunks, and for trailers
_FIRST_TRIES_SECONDS = 3.0  # for each address but the last
_MAX_ADDRESSES = 6


class Allowance:
    """What is left to one request: seconds, and bytes to receive."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self._bytes_left = MAX_HEAD

    def seconds(self) -> float:
        """The time that is left; `TimeoutError` where none is."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def begin_body(self) -> None:
        """The head was received; from now on bytes are the body's."""
        self._bytes_left += MAX_BODY + _FRAMING

    def receive(self, count: int) -> None:
        """Count received bytes; `OutsideError` where they are too many."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise OutsideError(Kind.TOO_LARGE, "The response is too large.")


class _Limited:
    """Before `socket.socket` or `ssl.SSLSocket` in the bases of a class. http.client reads by `recv_into` alone."""

    allowance: Allowance

    def recv_into(self, *args: object) -> int:
        self.settimeout(self.allowance.seconds())  # type: ignore[attr-defined]
        count: int = super().recv_into(*args)  # type: ignore[misc]
        self.allowance.receive(count)
        return count

    def send(self, *args: object) -> int:
        self.settimeout(self.allowance.seconds())  # type: ignore[attr-defined]
        count: int = super().send(*args)  # type: ignore[misc]
        return count

    def sendall(self, *args: object) -> None:
        self.settimeout(self.allowance.seconds())  # type: ignore[attr-defined]
        super().sendall(*args)  # type: ignore[misc]


class PlainSocket(_Limited, socket.socket):
    """A TCP socket."""


class TLSSocket(_Limited, ssl.SSLSocket):
    """A socket with TLS; made by a context whose `sslsocket_class` it is. Its handshake has one time-out for all."""


def connect(addresses: Sequence[Address], port: int, allowance: Allowance) -> PlainSocket:
    """A socket connected to the first of the addresses that takes the connection; `OSError` where none does."""
    *others, last = addresses[:_MAX_ADDRESSES]
    for address in others:
        try:
            return _connect(address, port, allowance, _FIRST_TRIES_SECONDS)
        except OSError:
            continue
    return _connect(last, port, allowance, allowance.seconds())


def _connect(address: Address, port: int, allowance: Allowance, at_most: float) -> PlainSocket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = PlainSocket(family, socket.SOCK_STREAM)
    try:
        sock.allowance = allowance
        sock.settimeout(min(allowance.seconds(), at_most))
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(allowance.seconds())  # the handshake of TLS takes it over
    except BaseException:
        sock.close()
        raise
    return sock
