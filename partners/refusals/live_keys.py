"""The hashes of the keys that work, in this process's memory: whether a presented key is one of them costs no query.

It is asked only where an address has had too many refusals (`partners.refusals.door`). There a made-up key costs one
SHA-256 and one look into a set; the set is read anew at most once a second, by one thread, however many keys are tried.
So a key counts as one that works a second after it was made, and for a second after it died: this only decides who may
come as far as `partners.access.authentication`.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

from partners import keys, selectors

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS = 1.0
FIRST_READING_SECONDS = 1.0  # so long others wait for the first reading; later they go on with the last one


class LiveKeys:
    """A set of hashes that `read` returns, at most `MAX_AGE_SECONDS` old."""

    def __init__(self, read: Callable[[], frozenset[str]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._hashes: frozenset[str] | None = None
        self._next_reading = 0.0

    def has(self, key_hash: str) -> bool:
        """Whether it is the hash of a key that works; True where that could never be read, since then nobody knows."""
        if time.monotonic() >= self._next_reading:
            self._refresh()
        hashes = self._hashes
        return hashes is None or key_hash in hashes

    def may_have(self, key_hash: str) -> bool:
        """The same without ever reading: True too where only a new reading could tell."""
        hashes = self._hashes
        return hashes is None or key_hash in hashes or time.monotonic() >= self._next_reading

    def forget(self) -> None:
        """Read anew at the next question."""
        self._hashes, self._next_reading = None, 0.0

    def _refresh(self) -> None:
        if not self._lock.acquire(timeout=FIRST_READING_SECONDS if self._hashes is None else 0):
            return
        try:
            if time.monotonic() < self._next_reading:
                return  # another thread read meanwhile
            self._hashes = self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys that were read last stay good
            logger.warning("the keys that work cannot be read: %s", error)
        finally:
            self._next_reading = time.monotonic() + MAX_AGE_SECONDS
            self._lock.release()


live_keys = LiveKeys(selectors.live_key_hashes)


def is_live(meta: Mapping[str, Any]) -> bool:
    """Whether a request with this `META` carries a key that works here, as far as this process knows."""
    key_hash = _presented_hash(meta)
    return key_hash is not None and live_keys.has(key_hash)


def may_be_live(meta: Mapping[str, Any]) -> bool:
    """The same without ever reading the keys: True too where only a new reading could tell."""
    key_hash = _presented_hash(meta)
    return key_hash is not None and live_keys.may_have(key_hash)


def _presented_hash(meta: Mapping[str, Any]) -> str | None:
    key = keys.presented(meta)
    parts = keys.parse(key)
    return keys.hash_key(key) if parts is not None and parts.environment == settings.PLATFORM_ENVIRONMENT else None
