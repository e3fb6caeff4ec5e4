"""Shares a number of places among holders: a single holder gets many, several get less each. Pure, thread-safe.

A holder gets another place while it has fewer than a fixed multiple of those that are free (the dynamic threshold by
which switches share a buffer among their ports; Choudhury and Hahne, 1998). So a newcomer finds a place, nothing is
taken back from anybody, and only each holder's number of places is stored.
"""

import threading
from collections import Counter
from collections.abc import Hashable


class FairShare:
    """`total` places; a single holder gets `most` of them, two get fewer each, and so on."""

    def __init__(self, total: int, most: int) -> None:
        if not 1 <= most <= total:
            raise ValueError(f"of {total} places one holder cannot have {most}")
        self._total, self._most = total, most
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """All places are free."""
        self._held: Counter[Hashable] = Counter()

    def take(self, holder: Hashable) -> bool:
        """Take a place for `holder`, to be given back; False where it has its share or none is free."""
        with self._lock:
            held, free = self._held[holder], self._total - self._held.total()
            if free < 1 or held * (self._total - self._most) >= self._most * free:
                self._drop_if_none(holder)
                return False
            self._held[holder] += 1
            return True

    def give_back(self, holder: Hashable) -> None:
        """Give one place back."""
        with self._lock:
            self._held[holder] -= 1
            self._drop_if_none(holder)

    def _drop_if_none(self, holder: Hashable) -> None:
        if self._held[holder] <= 0:
            del self._held[holder]
