"""The hashes of the valid keys, in this process's memory: to check a presented key against them costs no query.

Used only for addresses with too many refusals (`partners.refusals.refusal_limits`), where a made-up key then costs one
SHA-256 and one look into a set. The set is read at most once a second, by one thread, however many keys are tried. So a
new key counts as valid a second late at most, and a revoked one for up to a second longer: this only decides which
calls reach `partners.access.authentication`, which reads the database.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from django.conf import settings

from partners import keys, selectors

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS = 1.0
FIRST_READING_SECONDS = 1.0  # how long other threads wait for the first reading; later they use the previous one


class LiveKeys:
    """A set of hashes that `read` returns, at most `MAX_AGE_SECONDS` old."""

    def __init__(self, read: Callable[[], frozenset[str]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._hashes: frozenset[str] | None = None
        self._next_reading = 0.0

    def has(self, key_hash: str) -> bool:
        """Whether it is the hash of a valid key; True while the keys could not be read even once."""
        if time.monotonic() >= self._next_reading:
            self._refresh()
        hashes = self._hashes
        return hashes is None or key_hash in hashes

    def may_have(self, key_hash: str) -> bool:
        """As `has`, but never reads: True too where only a new reading could tell."""
        hashes = self._hashes
        return hashes is None or key_hash in hashes or time.monotonic() >= self._next_reading

    def forget(self) -> None:
        """Read the keys again at the next call."""
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


def has_live_key(meta: Mapping[str, object]) -> bool:
    """Whether a request with this `META` carries a key that works here, as far as this process knows."""
    key_hash = _presented_hash(meta)
    return key_hash is not None and live_keys.has(key_hash)


def may_have_live_key(meta: Mapping[str, object]) -> bool:
    """The same without ever reading the keys: True too where only a new reading could tell."""
    key_hash = _presented_hash(meta)
    return key_hash is not None and live_keys.may_have(key_hash)


def _presented_hash(meta: Mapping[str, object]) -> str | None:
    key = keys.presented(meta)
    parts = keys.parse(key)
    return keys.hash_key(key) if parts is not None and parts.environment == settings.PLATFORM_ENVIRONMENT else None
