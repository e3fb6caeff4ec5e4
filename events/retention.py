"""Deletes events by age, oldest first: what the feed no longer has, `FeedState.pruned` says.

Both change in one transaction, so a reader whose cursor lies before a deleted event is always refused (`events.feed`).
A run that is killed has deleted whole batches; the next run goes on.
"""

import datetime as dt
from itertools import takewhile
from time import sleep
from uuid import UUID

from django.db.models import QuerySet

from events import selectors
from events.models import FEED, Event, FeedState
from partner_platform.core.database.transactions import run_in_transaction

EVENTS_A_BATCH = 500
BATCHES_A_RUN = 400
PAUSE_SECONDS = 0.02  # between batches, so that writers get their turn: the feed's row is theirs too


def delete_old_events(*, before: dt.datetime, until: int) -> int:
    """Delete events from before this time, up to the number `until` at most; returns how many.

    It ends at the first event that is younger: what is deleted is always the beginning of the feed.
    """
    deleted = 0
    for _ in range(BATCHES_A_RUN):
        pruned = selectors.pruned_until()
        old = list(takewhile(lambda row: row[2] < before, oldest_query(pruned, until)[:EVENTS_A_BATCH]))
        if not old:
            break
        ids, reached = [key for key, _, _ in old], old[-1][1] or 0
        if not run_in_transaction(lambda ids=ids, pruned=pruned, reached=reached: _delete(ids, pruned, reached)):  # type: ignore[misc]
            break  # another run is at it
        deleted += len(ids)
        sleep(PAUSE_SECONDS)
    return deleted


def oldest_query(pruned: int, until: int) -> "QuerySet[Event, tuple[UUID, int | None, dt.datetime]]":
    """Key, number and time of the feed's events in their order; for the index tests too."""
    query = Event.objects.filter(number__gt=pruned, number__lte=until)
    return query.order_by("number").values_list("pk", "number", "created_at")


def _delete(ids: list[UUID], pruned: int, reached: int) -> bool:
    if not FeedState.objects.filter(name=FEED, pruned=pruned).update(pruned=reached):
        return False
    Event.objects.filter(pk__in=ids).delete()
    return True
