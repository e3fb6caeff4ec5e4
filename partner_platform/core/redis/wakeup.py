"""Waking another process that waits, through a list in Redis: a wake-up that comes before the wait begins is not lost.

It carries no news: whoever wakes looks at the database. Several in a row wake once. Without Redis nobody is woken and a
wait is a sleep, so whoever waits also looks every few seconds without being woken. Losing one costs time, never truth.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django_redis import get_redis_connection
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
T = TypeVar("T")

LIFETIME_SECONDS = 120  # of a wake-up that nobody waits for
LOOK_EVERY_SECONDS = 2.0  # below the socket's time-out
SHORTEST_WAIT_SECONDS = 0.01  # to Redis a time-out of 0 is none at all


def wake(*names: str) -> None:
    """Wake whoever waits for one of these names. Never raises; one round trip."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            for name in names:
                _add(pipe, name)
            pipe.execute()
    except RedisError as error:
        logger.warning("could not wake %s: %s", ", ".join(names), error)


def wake_listener(name: str) -> bool:
    """`wake`, and whether anybody listens for the name; False where Redis is down. One round trip."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            _add(pipe, name)
            pipe.exists(_listening_key(name))
            return bool(pipe.execute()[-1])
    except RedisError as error:
        logger.warning("could not wake %s: %s", name, error)
        return False


def listen(name: str, seconds: int) -> None:
    """Say that somebody listens for the name; to be repeated within `seconds`, after which a killed one is missed."""
    try:
        get_redis_connection("default").set(_listening_key(name), 1, ex=seconds)
    except RedisError as error:
        logger.warning("could not say that somebody listens for %s: %s", name, error)


def stop_listening(name: str) -> None:
    """Say that nobody listens any more. Whoever stops must look for work once more after this."""
    try:
        get_redis_connection("default").delete(_listening_key(name))
    except RedisError as error:
        logger.warning("could not say that nobody listens for %s: %s", name, error)


def wait(name: str, seconds: float) -> None:
    """Wait `seconds`, which must stay below the socket's time-out; less where the name is woken, or was already."""
    seconds = max(seconds, SHORTEST_WAIT_SECONDS)
    try:
        get_redis_connection("default").blpop([_key(name)], timeout=seconds)
    except RedisError as error:
        logger.warning("waiting for %s without redis: %s", name, error)
        time.sleep(seconds)


def wait_until(name: str, look: Callable[[], T | None], timeout: float) -> T | None:
    """Wait `timeout` seconds at most for `look()` to return something; None where it did not.

    `look` reads the database: once per wake-up, and every few seconds in case one was lost. A `timeout` of 0 does not
    look.
    """
    deadline = time.monotonic() + timeout
    while (remaining := deadline - time.monotonic()) > 0:
        wait(name, min(remaining, LOOK_EVERY_SECONDS))
        found = look()
        if found is not None:
            return found
    return None


def _add(pipe: Any, name: str) -> None:
    key = _key(name)
    pipe.lpush(key, 1)
    pipe.ltrim(key, 0, 0)
    pipe.expire(key, LIFETIME_SECONDS)


def _key(name: str) -> str:
    return f"wake:{name}"


def _listening_key(name: str) -> str:
    return f"listening:{name}"
