"""The time, in one place: UTC, whole milliseconds (what all three databases keep)."""

import datetime as dt

from django.utils import timezone


def now() -> dt.datetime:
    """The present moment in UTC, cut to milliseconds."""
    moment = timezone.now()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def today() -> dt.date:
    """The present UTC day; daily limits reset when it changes, at 00:00 UTC."""
    return now().astimezone(dt.UTC).date()


def from_seconds(seconds: int) -> dt.datetime:
    """A moment from seconds since the epoch, as the chain keeps it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def isoformat(moment: dt.datetime | None) -> str | None:
    """ISO 8601 in UTC with `Z`, whole seconds where there are no milliseconds: `2026-01-05T10:30:00Z`."""
    if moment is None:
        return None
    text = moment.astimezone(dt.UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
