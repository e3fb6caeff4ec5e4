"""When a failed delivery is tried again, and when an endpoint that fails is tried again. Pure but for the jitter.

`WEBHOOK_RETRY_SCHEDULE` holds the waits before each try, in seconds, counted from the end of the try before: as many
tries as it has entries, about three days in all.
"""

import datetime as dt
import random
from email.utils import parsedate_to_datetime

from django.conf import settings

SPREAD = 0.1  # of a wait, added at random
FAILURES_TO_OPEN = 5  # in a row: then the breaker is open
FAILING_DAYS = 5.0  # without a success: then the endpoint is disabled
IDLE_SECONDS = 3600.0  # between two failed tries beyond the longest wait: then the later one begins a new failure
_DOUBLINGS = 16


def wait_before(number: int) -> float | None:
    """Seconds between the end of the try before and the try of this number (from 1); None where there is none."""
    waits = settings.WEBHOOK_RETRY_SCHEDULE
    return waits[number - 1] if number <= len(waits) else None


def step_after(step: int, *, by_hand: bool) -> int:
    """How many tries of the schedule are used up by a failed one; a try by hand uses up only the first, at once."""
    return max(step, 1) if by_hand else step + 1


def retry_at(*, step: int, now: dt.datetime, retry_after: float | None = None) -> dt.datetime | None:
    """When to try again after so many tries of the schedule; None where none is left. `retry_after`: no sooner."""
    wait = wait_before(step + 1)
    if wait is None:
        return None
    return later(now, max(_spread(wait), retry_after or 0.0))


def breaker_pause(failures: int) -> float:
    """Seconds without any try, after so many failures in a row; 0 where the breaker is closed.

    It doubles from the schedule's second wait to its third one: from 5 seconds to 5 minutes.
    """
    if failures < FAILURES_TO_OPEN:
        return 0.0
    waits = settings.WEBHOOK_RETRY_SCHEDULE
    shortest, longest = waits[min(1, len(waits) - 1)], waits[min(2, len(waits) - 1)]
    return _spread(min(shortest * 2.0 ** min(failures - FAILURES_TO_OPEN, _DOUBLINGS), longest))


def retry_after_seconds(status: int, header: str | None, *, now: dt.datetime) -> float | None:
    """What a 429 or 503 asks for with `Retry-After` (seconds, or a date), at most the schedule's longest wait."""
    if status not in (429, 503) or not header:
        return None
    text = header.strip()
    try:
        seconds = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None
    return min(max(seconds, 0.0), max(settings.WEBHOOK_RETRY_SCHEDULE))


def is_same_failure(last_failed_at: dt.datetime | None, *, now: dt.datetime) -> bool:
    """Whether a try that fails now goes on with the failure of the one before, or nothing was tried for too long.

    While a delivery waits, no two tries are further apart than the schedule's longest wait.
    """
    longest = max(settings.WEBHOOK_RETRY_SCHEDULE) * (1 + SPREAD) + IDLE_SECONDS
    return last_failed_at is not None and now - last_failed_at <= dt.timedelta(seconds=longest)


def has_failed_for_long(since: dt.datetime | None, *, now: dt.datetime) -> bool:
    """Whether every try since then failed and that is `FAILING_DAYS` ago."""
    return since is not None and now - since >= dt.timedelta(days=FAILING_DAYS)


def later(now: dt.datetime, seconds: float) -> dt.datetime:
    """So many seconds after now, in whole milliseconds, rounded up."""
    return now + dt.timedelta(milliseconds=int(seconds * 1000) + bool(seconds * 1000 % 1))


def _spread(seconds: float) -> float:
    return seconds * (1 + SPREAD * random.random())  # noqa: S311 - a spread, not a secret
