"""Looks up host names within a time limit.

`getaddrinfo` cannot be interrupted, so it runs on a thread of its own, and the caller stops waiting at its deadline.
The thread ends when the system's resolver gives up, usually within twice the time of a request. Requests to the same
host share one look-up, so a name server that never answers costs one thread for each of its names. `MAX_LOOKUPS` bounds
the threads; more than twice as many as there are senders, so that hanging look-ups do not use it up for the others.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from partner_platform.core.outside.addresses import Address
from partner_platform.core.outside.errors import Kind, OutsideError

MAX_LOOKUPS = 256
Lookup = Callable[..., Sequence[tuple[Any, ...]]]  # with the arguments and results of `socket.getaddrinfo`


class Resolver:
    """Looks names up; thread-safe."""

    def __init__(self, getaddrinfo: Lookup = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._running: dict[str, Future[list[Address]]] = {}

    def addresses(self, host: str, seconds: float) -> list[Address]:
        """All addresses of the host, in the system's order of preference, at least one; `TimeoutError` after the time,
        `OutsideError` DNS where there are none."""
        try:
            return self._lookup(host).result(seconds)
        except (OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise OutsideError(Kind.DNS, f"The name {host} could not be looked up, or has no address.") from None

    def _lookup(self, host: str) -> Future[list[Address]]:
        with self._lock:
            future = self._running.get(host)
            if future is None:
                if len(self._running) >= MAX_LOOKUPS:
                    raise OutsideError(Kind.DNS, f"The name {host} was not looked up: too many look-ups are waiting.")
                future = Future()
                threading.Thread(target=self._run, args=(host, future), name="lookup", daemon=True).start()
                self._running[host] = future
            return future

    def _run(self, host: str, future: Future[list[Address]]) -> None:
        try:
            found = self._ask(host)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._forget(host)
            future.set_exception(error)
        else:
            self._forget(host)
            future.set_result(found)

    def _forget(self, host: str) -> None:
        with self._lock:
            del self._running[host]

    def _ask(self, host: str) -> list[Address]:
        # With the dot at its end a name is complete: the resolver does not append our own search domains to it.
        name = f"{host}." if "." in host else host
        answers = self._getaddrinfo(name, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
        found = dict.fromkeys(str(sockaddr[0]).partition("%")[0] for *_, sockaddr in answers)
        if not found:
            raise OSError("no addresses")
        return [ipaddress.ip_address(text) for text in found]
