"""Numbers for committed events, one pass at a time: what makes the feed free of gaps.

A pass writes the feed's state first, so that two passes never run at once; what it reads after that is committed, and
its numbers become visible together. An event that commits later gets a higher number, whatever its time.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, QuerySet

from events.models import FEED, Event, FeedState
from partner_platform.core import clock
from partner_platform.core.database.transactions import RETRY_SECONDS, run_in_transaction

EVENTS_A_PASS = 500
EVENTS_AN_UPDATE = 100
CLOCKS_DIFFER = dt.timedelta(minutes=1)  # of two machines, at most


def number_events(*, retry_seconds: float = RETRY_SECONDS) -> int:
    """Give the events that are committed and have no number the next ones; returns how many, at most one pass of them.

    A loan's events are numbered in the order of their sequence. A pass that conflicts with another is retried for
    `retry_seconds`.
    """
    if not Event.objects.filter(number=None).exists():
        return 0
    ensure_state()
    return run_in_transaction(_number, retry_seconds=retry_seconds)


def ensure_state() -> None:
    """Make the feed's row where there is none, outside a transaction."""
    if FeedState.objects.filter(name=FEED).exists():
        return
    with suppress(IntegrityError):  # another process made it at the same moment
        FeedState.objects.create(name=FEED)


def _number() -> int:
    FeedState.objects.filter(name=FEED).update(passes=F("passes") + 1)
    state = FeedState.objects.get(name=FEED)
    events = _unnumbered()
    for number, event in enumerate(events, start=state.numbered + 1):
        event.number = number
    Event.objects.bulk_update(events, ["number"], batch_size=EVENTS_AN_UPDATE)
    FeedState.objects.filter(name=FEED).update(numbered=state.numbered + len(events))
    return len(events)


def _unnumbered() -> list[Event]:
    rows = Event.objects.filter(number=None).only("pk", "number", "loan_id", "sequence", "created_at")
    oldest = list(oldest_first(rows)[:EVENTS_A_PASS])
    loans = {event.loan_id for event in oldest if event.loan_id}
    # No later ones than clocks explain: after a long backlog numbers still go by time (`selectors.NUMBERED_WITHIN`).
    at_most = max((event.created_at for event in oldest), default=clock.now()) + CLOCKS_DIFFER
    behind = rows.filter(loan_id__in=list(loans), created_at__lte=at_most)
    return _in_sequence({event.pk: event for event in [*oldest, *behind]}.values())


def oldest_first(rows: "QuerySet[Event]") -> "QuerySet[Event]":
    """The events without a number by their time; for the index tests too.

    The number, which none of them has, is named for PostgreSQL: without it, it may go by time through all events.
    """
    return rows.order_by("number", "created_at")


def _in_sequence(events: Iterable[Event]) -> list[Event]:
    """By time, and each loan's among them by sequence: the clocks of two processes may differ."""
    ordered = sorted(events, key=lambda event: (event.created_at, event.pk))
    places: dict[UUID, list[int]] = defaultdict(list)
    for place, event in enumerate(ordered):
        if event.loan_id is not None:
            places[event.loan_id].append(place)
    for of_loan in places.values():
        in_turn = sorted((ordered[place] for place in of_loan), key=lambda event: event.sequence)
        for place, event in zip(of_loan, in_turn, strict=True):
            ordered[place] = event
    return ordered
