"""The driver sleeps on a bell in Redis, so that new work starts it at once without a fast poll of the database.

A second key says that a driver is listening: then a ring is enough and no task is queued. Both only wake. Without
Redis the driver polls, and the beat starts one.
"""

import logging
import time

from django_redis import get_redis_connection
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_BELL = "chain:bell"
_LISTENING = "chain:driver-listening"
BELL_LIFETIME_SECONDS = 30
LISTENING_SECONDS = 3  # a killed driver is missed after this


def ring() -> bool:
    """Wake the driver; True where one is listening, False where one must be started (or Redis is down)."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            pipe.lpush(_BELL, 1)
            pipe.ltrim(_BELL, 0, 0)
            pipe.expire(_BELL, BELL_LIFETIME_SECONDS)
            pipe.exists(_LISTENING)
            return bool(pipe.execute()[-1])
    except RedisError as error:
        logger.warning("could not ring for the driver: %s", error)
        return False


def sleep(seconds: float) -> None:
    """Sleep `seconds`, less if the bell rings."""
    try:
        get_redis_connection("default").blpop([_BELL], timeout=max(seconds, 0.01))
    except RedisError as error:
        logger.warning("sleeping without redis: %s", error)
        time.sleep(seconds)


def listen() -> None:
    """Say that a driver is listening; to be repeated within `LISTENING_SECONDS`."""
    try:
        get_redis_connection("default").set(_LISTENING, 1, ex=LISTENING_SECONDS)
    except RedisError as error:
        logger.warning("could not say that a driver listens: %s", error)


def stop_listening() -> None:
    """Say that nobody is listening any more. Whoever stops must look for work once more after this."""
    try:
        get_redis_connection("default").delete(_LISTENING)
    except RedisError as error:
        logger.warning("could not say that no driver listens: %s", error)
