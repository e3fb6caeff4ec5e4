"""One worker at a time, by a lease in Redis. It spares work; what must not happen twice is refused by the database."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


@contextmanager
def only_one(name: str, *, seconds: int) -> Iterator[bool]:
    """True where nobody else is within (True too where Redis is down); a killed holder's lease ends by itself."""
    key, holder = f"only-one:{name}", uuid.uuid4().hex
    try:
        is_ours = bool(cache.add(key, holder, timeout=seconds))
    except RedisError as error:
        logger.warning("no lease for %s: %s", name, error)
        is_ours = True
    try:
        yield is_ours
    finally:
        if is_ours:
            _release(key, holder)


def _release(key: str, holder: str) -> None:
    try:
        if cache.get(key) == holder:  # after `seconds` it may be another's
            cache.delete(key)
    except RedisError as error:
        logger.warning("could not give back the lease %s, it ends by itself: %s", key, error)
