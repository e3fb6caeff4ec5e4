"""Logs once, at ERROR, that the chain makes no new block, or does not answer, for `CHAIN_SILENT_SECONDS`.

`overdue` counts in blocks, so it sees nothing then. Each process knows when it first saw the newest block, and since
when the chain has not answered it. Of several processes one logs, by a key in Redis; without Redis each does.
"""

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from chain import metrics

logger = logging.getLogger(__name__)

KEY_SECONDS = 86_400  # lifetime of the key in Redis


@dataclass
class _Known:
    """What this process knows of the chain; times are `time.monotonic()`."""

    head: int | None = None
    head_since: float = 0.0
    failing_since: float | None = None
    is_logged: bool = False


_known = _Known()


def note_head(number: int) -> None:
    """The chain answered, and this is its newest block; called whenever the head is read."""
    _note_head(number, time.monotonic())
    metrics.seconds_without_news.set(seconds_without_news())


def note_failure(error: Exception) -> None:
    """The chain did not answer; called each time."""
    _note_failure(error, time.monotonic())
    metrics.seconds_without_news.set(seconds_without_news())


def _note_head(number: int, now: float) -> None:
    _known.failing_since = None
    if number != _known.head:
        if _known.is_logged:
            logger.warning("the chain goes on: block %d", number)
        _known.head, _known.head_since, _known.is_logged = number, now, False
    elif _is_long(now - _known.head_since):
        _log(f"still:{number}", f"the chain stands still: block {number} is the newest for", now - _known.head_since)


def _note_failure(error: Exception, now: float) -> None:
    if _known.failing_since is None:
        _known.failing_since = now
    elif _is_long(now - _known.failing_since):
        what = f"the chain does not answer ({error}), last seen at block {_known.head}, for"
        _log(f"gone:{_known.head}", what, now - _known.failing_since)


def seconds_without_news() -> float:
    """Seconds since this process saw a new block, or since the chain stopped answering it; 0 before the first block."""
    now = time.monotonic()
    since = _known.failing_since if _known.failing_since is not None else _known.head_since
    return now - since if _known.head is not None or _known.failing_since is not None else 0.0


def _is_long(seconds: float) -> bool:
    return not _known.is_logged and 0 < settings.CHAIN_SILENT_SECONDS <= seconds


def _log(key: str, what: str, seconds: float) -> None:
    _known.is_logged = True
    try:
        is_first = cache.add(f"chain:silence:{key}", 1, KEY_SECONDS)
    except RedisError:
        is_first = True
    if is_first:
        logger.error("%s %d seconds", what, seconds)
