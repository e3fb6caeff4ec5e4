"""How far the watcher has read. The cursor moves in the same transaction in which the events are written."""

from django.conf import settings
from django.db import IntegrityError

from chain.models import SYSTEM_CURSOR, WatchCursor
from partner_platform.core import clock


class CursorMoved(Exception):
    """The chain, or another watcher, moved while a range was read: read it again."""


def cursor() -> WatchCursor:
    """The watcher's cursor; created at its first use."""
    found = WatchCursor.objects.filter(name=SYSTEM_CURSOR).first()
    if found is not None:
        return found
    try:
        begins_at = settings.WATCH_FROM_BLOCK
        return WatchCursor.objects.create(
            name=SYSTEM_CURSOR, next_block=begins_at, verified_block=max(begins_at - 1, 0)
        )
    except IntegrityError:
        return WatchCursor.objects.get(name=SYSTEM_CURSOR)  # another watcher made it at the same moment


def move_cursor(before: int, after: int) -> None:
    """Move the cursor, inside a transaction; raises `CursorMoved` where it is not at block `before`."""
    mine = WatchCursor.objects.filter(name=SYSTEM_CURSOR, next_block=before)
    if mine.update(next_block=after, updated_at=clock.now()) != 1:
        raise CursorMoved("another watcher reads too")
