"""A lock that all processes share, for a limited time: redis-py's, with its owner's token checked at release.

It saves work and collisions. What must not happen twice is refused by the database: a lock whose time ran out, or a
Redis that restarted, lets a second one in. Who held it for too long releases nobody else's.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_redis import get_redis_connection
from redis.exceptions import LockNotOwnedError, RedisError

logger = logging.getLogger(__name__)


class LockLost(Exception):
    """The lock's time ran out before it was prolonged: another one may have it by now."""


class Lock:
    """The lock called `name`, for one attempt to have it.

    A killed holder's lock ends by itself after `seconds`. `token` is what others read of its holder; it must differ
    from every other holder's, and is a random one where none is given.
    """

    def __init__(self, name: str, *, seconds: float, token: str | None = None) -> None:
        self._name, self._seconds, self._token = name, seconds, token
        self._held: Any = None  # redis-py's lock, while it is ours as far as we know
        self._since = time.monotonic()  # when its time began

    def take(self) -> bool:
        """Whether it is ours now; does not wait. Raises `RedisError`."""
        # The instance is never shared between threads, so its token needs no place in each of them.
        lock = get_redis_connection("default").lock(_key(self._name), timeout=self._seconds, thread_local=False)
        token = self._token or uuid.uuid4().hex
        self._since = time.monotonic()
        try:
            is_ours = lock.acquire(blocking=False, token=token)
        except RedisError:
            lock.local.token, self._held = token.encode(), lock  # it may be ours, the answer lost: `release` lets go
            raise
        self._held = lock if is_ours else None
        return bool(is_ours)

    def prolong(self) -> None:
        """It is ours for its whole time again, from now on; nothing where it is not ours any more. Never raises."""
        if self._held is None:
            return
        try:
            self._held.reacquire()
        except RedisError as error:
            logger.warning("could not prolong the lock %s: %s", self._name, error)

    def keep(self) -> None:
        """Prolong it where a third of its time is over: for a loop that calls this at every turn.

        Raises `LockLost` where it is not ours any more; where Redis cannot tell, the loop goes on.
        """
        if self._held is None or time.monotonic() - self._since <= self._seconds / 3:
            return
        self._since = time.monotonic()
        try:
            self._held.reacquire()
        except LockNotOwnedError as error:
            self._held = None
            raise LockLost(f"the lock {self._name} is not ours any more") from error
        except RedisError as error:
            logger.warning("could not prolong the lock %s: %s", self._name, error)

    def release(self) -> None:
        """Let others in, where it is still ours. Never raises; may be called again, and where it was never taken."""
        if self._held is None:
            return
        held, self._held = self._held, None
        try:
            held.release()
        except LockNotOwnedError:
            logger.info(
                "the lock %s was held for more than %s seconds: it is not ours any more", self._name, self._seconds
            )
        except RedisError as error:
            logger.warning("could not release the lock %s, it ends by itself: %s", self._name, error)


@contextmanager
def held(name: str, *, seconds: float, without_redis: bool) -> Iterator[Lock | None]:
    """Within: the lock where nobody else is within, None where somebody is; `without_redis` says whether it is given
    where Redis cannot tell.
    """
    lock = Lock(name, seconds=seconds)
    try:
        is_ours = lock.take()
    except RedisError as error:
        logger.warning("no lock for %s: %s", name, error)
        is_ours = without_redis
    try:
        yield lock if is_ours else None
    finally:
        lock.release()


def token_of_holder(name: str) -> str | None:
    """The token of whoever holds it now; None where nobody does. Raises `RedisError`."""
    token: bytes | None = get_redis_connection("default").get(_key(name))
    return None if token is None else token.decode()


def _key(name: str) -> str:
    return f"lock:{name}"
