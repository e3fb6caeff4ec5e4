"""A chain that stands still, or answers nobody, for long: told once, for where no blocks come nothing ages.

What is known is this process's own: when it first saw the newest block it knows of, and since when each answer failed.
Of several processes one tells, by a mark in Redis; without Redis each does.
"""

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from chain import metrics

logger = logging.getLogger(__name__)

TOLD_SECONDS = 86_400  # how long the mark in Redis is kept


@dataclass
class _Known:
    """What this process knows of the chain; moments are `time.monotonic()`."""

    head: int | None = None
    head_since: float = 0.0
    failing_since: float | None = None
    is_told: bool = False


_known = _Known()


def note_head(number: int) -> None:
    """The chain answered, and this is its newest block; for each look at the head."""
    _note_head(number, time.monotonic())
    metrics.seconds_without_news.set(seconds_without_news())


def note_failure(error: Exception) -> None:
    """The chain did not answer; for each time that it was asked in vain."""
    _note_failure(error, time.monotonic())
    metrics.seconds_without_news.set(seconds_without_news())


def _note_head(number: int, now: float) -> None:
    _known.failing_since = None
    if number != _known.head:
        if _known.is_told:
            logger.warning("the chain goes on: block %d", number)
        _known.head, _known.head_since, _known.is_told = number, now, False
    elif _is_long(now - _known.head_since):
        _tell(f"still:{number}", f"the chain stands still: block {number} is the newest for", now - _known.head_since)


def _note_failure(error: Exception, now: float) -> None:
    if _known.failing_since is None:
        _known.failing_since = now
    elif _is_long(now - _known.failing_since):
        what = f"the chain does not answer ({error}), last seen at block {_known.head}, for"
        _tell(f"gone:{_known.head}", what, now - _known.failing_since)


def seconds_without_news() -> float:
    """How long this process has seen no new block, or no answer, since it last asked and got one; 0 where it has."""
    now = time.monotonic()
    since = _known.failing_since if _known.failing_since is not None else _known.head_since
    return now - since if _known.head is not None or _known.failing_since is not None else 0.0


def forget() -> None:
    """As in a new process."""
    global _known  # noqa: PLW0603 - what a process knows is its own
    _known = _Known()


def _is_long(seconds: float) -> bool:
    return not _known.is_told and 0 < settings.CHAIN_SILENT_SECONDS <= seconds


def _tell(mark: str, what: str, seconds: float) -> None:
    _known.is_told = True
    try:
        is_first = cache.add(f"chain:silence:{mark}", 1, TOLD_SECONDS)
    except RedisError:
        is_first = True
    if is_first:
        logger.error("%s %d seconds", what, seconds)
