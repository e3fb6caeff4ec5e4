"""The sockets of one process, watched with epoll.

waitress asks each connection in each round of its loop what it waits for; 200 idle ones cost as much as the requests
beside them (docs/decisions.md). Here one is asked again only after something happened to it, or while it is being
served: then a worker thread may change what it waits for.
"""

import select
from contextlib import suppress
from typing import Any

from waitress import wasyncore

# Not EPOLLPRI, as waitress has it: a caller's urgent byte, which nobody reads, would keep the loop turning for ever.
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT


class Watched(dict[int, Any]):
    """The map of a waitress server, file descriptor to dispatcher, and the loop over it."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._wanted: dict[int, int] = {}
        self._to_ask: dict[int, Any] = {}

    def __setitem__(self, fd: int, dispatcher: object) -> None:
        super().__setitem__(fd, dispatcher)
        self._wanted[fd] = 0
        self._to_ask[fd] = dispatcher

    def __delitem__(self, fd: int) -> None:
        super().__delitem__(fd)
        self._to_ask.pop(fd, None)
        if self._wanted.pop(fd):
            with suppress(OSError):  # closed already
                self._epoll.unregister(fd)

    def ask_again(self, dispatcher: Any) -> None:
        """Ask the channel again: what it waits for was changed by another thread."""
        self._to_ask[dispatcher._fileno] = dispatcher  # noqa: SLF001 - wasyncore's, it has no other name

    def step(self, seconds: float) -> None:
        """Wait for something to happen, at most so long, and let it be handled."""
        for fd, dispatcher in list(self._to_ask.items()):
            self._ask(fd, dispatcher)
        # New connections last: one that took the number of one just closed must not be given its events.
        for fd, events in sorted(self._epoll.poll(seconds), key=self._accepts):
            dispatcher = self.get(fd)
            if dispatcher is not None:
                wasyncore.readwrite(dispatcher, events)
                if self.get(fd) is dispatcher:
                    self._to_ask[fd] = dispatcher

    def close(self) -> None:
        """Close all that is watched."""
        wasyncore.close_all(self, ignore_all=True)
        self._epoll.close()

    def _accepts(self, event: tuple[int, int]) -> bool:
        dispatcher = self.get(event[0])
        return dispatcher is not None and dispatcher.accepting

    def _ask(self, fd: int, dispatcher: Any) -> None:
        wanted = _READ if dispatcher.readable() else 0
        if dispatcher.writable() and not dispatcher.accepting:
            wanted |= _WRITE
        before = self._wanted.get(fd)
        if before is None:
            return  # asking closed it
        if wanted != before:
            self._register(fd, before, wanted)
        if wanted == _READ and not dispatcher.accepting and not getattr(dispatcher, "requests", ()):
            self._to_ask.pop(fd, None)

    def _register(self, fd: int, before: int, wanted: int) -> None:
        if not before:
            self._epoll.register(fd, wanted)
        elif wanted:
            self._epoll.modify(fd, wanted)
        else:
            self._epoll.unregister(fd)  # with no events wanted, epoll would still tell of a hang-up
        self._wanted[fd] = wanted
