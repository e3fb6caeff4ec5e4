"""A value from the cache, or read by one of all callers that ask for it at the same time."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import cache
from redis.exceptions import RedisError

from partner_platform.core.redis.lock import Lock

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 3.0
POLL_SECONDS = 0.005


def once(key: str, seconds: float, read: Callable[[], T]) -> T:
    """The value of `read()`, kept under `key` for `seconds` across all processes; None is a value.

    The first caller reads; the others wait for it, `WAIT_SECONDS` at most, and then read for themselves, as all do
    without the cache. An exception of `read` reaches its caller and is not kept.
    """
    lock = Lock(key, seconds=WAIT_SECONDS)
    try:
        found: tuple[T] | None = _kept_or_ours(key, lock)
        if found is not None:
            return found[0]
    except RedisError as error:
        lock.release()
        logger.warning("reading %s without the cache: %s", key, error)
        return read()
    try:
        value = read()
        _keep(key, seconds, value)
        return value
    finally:
        lock.release()


def _kept_or_ours(key: str, lock: Lock) -> tuple[Any] | None:
    """The value in a tuple; None where it is ours to read: with the lock, or without it where the wait is over."""
    deadline = time.monotonic() + WAIT_SECONDS
    found: tuple[Any] | None
    while (found := cache.get(key)) is None and time.monotonic() < deadline:
        if lock.take():
            return _last_look(key, lock)
        time.sleep(POLL_SECONDS)
    return found


def _last_look(key: str, lock: Lock) -> tuple[Any] | None:
    """Whoever had the lock before us may have finished between our look and our turn."""
    found: tuple[Any] | None = cache.get(key)
    if found is not None:
        lock.release()
    return found


def _keep(key: str, seconds: float, value: object) -> None:
    try:
        cache.set(key, (value,), seconds)
    except RedisError as error:
        logger.warning("could not keep %s: %s", key, error)
