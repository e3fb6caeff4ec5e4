"""Connections that wait for the next request to their origin. Thread-safe; bounded by origin, in all and in time."""

import threading
import time
from collections import OrderedDict

from partner_platform.core.outside.connections import Connection

Origin = tuple[str, str, int]
MAX_OF_ORIGIN = 32
MAX_IN_ALL = 256
# Below the time after which common servers close an idle connection (Node: 5 s), so that few are found closed.
IDLE_SECONDS = 4.0


class Pool:
    """Idle connections, the one that was used last first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[Connection, tuple[Origin, float]] = OrderedDict()  # since when; the oldest first
        self._of_origin: dict[Origin, list[Connection]] = {}

    def take(self, origin: Origin) -> Connection | None:
        """A connection that may be used; None where there is none."""
        while (connection := self._take(origin)) is not None:
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose response was read completely."""
        with self._lock:
            self._idle[connection] = origin, time.monotonic()
            self._of_origin.setdefault(origin, []).append(connection)
            surplus = self._surplus(origin)
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            connections = list(self._idle)
            self._idle.clear()
            self._of_origin.clear()
        for connection in connections:
            connection.close()

    def __len__(self) -> int:
        return len(self._idle)

    def _take(self, origin: Origin) -> Connection | None:
        with self._lock:
            kept = self._of_origin.get(origin)
            return self._remove(kept[-1]) if kept else None

    def _surplus(self, origin: Origin) -> list[Connection]:
        """Take out what is too old or too many."""
        found = []
        if len(self._of_origin[origin]) > MAX_OF_ORIGIN:
            found.append(self._remove(self._of_origin[origin][0]))
        oldest_allowed = time.monotonic() - IDLE_SECONDS
        while self._idle:
            oldest = next(iter(self._idle))
            if len(self._idle) <= MAX_IN_ALL and self._idle[oldest][1] >= oldest_allowed:
                break
            found.append(self._remove(oldest))
        return found

    def _remove(self, connection: Connection) -> Connection:
        origin, _ = self._idle.pop(connection)
        kept = self._of_origin[origin]
        kept.remove(connection)
        if not kept:
            del self._of_origin[origin]
        return connection
