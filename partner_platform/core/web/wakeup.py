"""A request waits for its settlement without polling: the settler rings a bell in Redis, the waiter sleeps on it.

The bell is a list, so one rung before the waiter arrives is not lost. It only wakes: the truth stays in the
database, and without Redis a waiter falls back to looking there once a `FALLBACK_SECONDS`.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django_redis import get_redis_connection
from redis.exceptions import RedisError

from partner_platform.core.errors import ErrorCode, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

BELL_LIFETIME_SECONDS = 120
FALLBACK_SECONDS = 2.0
BLOCK_SECONDS = 2.0  # below the socket time-out


def ring(*keys: str) -> None:
    """Wake whoever waits for one of `keys`; losing a ring costs time, never truth."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            for name in map(_bell, keys):
                pipe.rpush(name, 1)
                pipe.expire(name, BELL_LIFETIME_SECONDS)
            pipe.execute()
    except RedisError as error:
        logger.warning("could not ring %s: %s", ", ".join(keys), error)


def wait_until(key: str, look: Callable[[], T | None], timeout: float) -> T | None:
    """Wait `timeout` seconds at most for `look()` to return something; None where it did not.

    `look` reads the database: once per ring, and once every few seconds in case a ring was lost. A `timeout` of
    0 does not look.
    """
    deadline = time.monotonic() + timeout
    while (remaining := deadline - time.monotonic()) > 0:
        _sleep_on(key, min(remaining, BLOCK_SECONDS))
        found = look()
        if found is not None:
            return found
    return None


def queue_unavailable() -> Unavailable:
    """503 where Redis is down: what would be accepted now could not be driven, so nothing is accepted."""
    return Unavailable(ErrorCode.QUEUE_UNAVAILABLE, "Settlement is not available; this request changed nothing")


def _sleep_on(key: str, seconds: float) -> None:
    try:
        get_redis_connection("default").blpop([_bell(key)], timeout=max(seconds, 0.01))
    except RedisError as error:
        logger.warning("waiting without redis: %s", error)
        time.sleep(min(seconds, FALLBACK_SECONDS))


def _bell(key: str) -> str:
    return f"bell:{key}"
