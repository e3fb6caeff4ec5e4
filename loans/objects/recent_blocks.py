"""How far the chain is known, at most a second old: an answer's `depth` costs no query of its own."""

import threading
import time
from collections.abc import Callable

from chain.selectors import KnownBlocks, known_blocks

MAX_AGE_SECONDS = 1.0


class RecentBlocks:
    """What `read` returned, at most `MAX_AGE_SECONDS` old; while a thread reads anew, the others take the last one."""

    def __init__(self, read: Callable[[], KnownBlocks]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Read anew at the next question."""
        self._known: KnownBlocks | None = None
        self._until = 0.0

    def known(self) -> KnownBlocks:
        """The newest block that was read, and the newest final one."""
        if time.monotonic() >= self._until and self._lock.acquire(blocking=self._known is None):
            try:
                if time.monotonic() >= self._until:
                    self._known = self._read()
                    self._until = time.monotonic() + MAX_AGE_SECONDS
            finally:
                self._lock.release()
        return self._known or KnownBlocks()


recent_blocks = RecentBlocks(known_blocks)
