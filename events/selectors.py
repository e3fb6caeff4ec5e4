"""Reading the feed."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import QuerySet

from events.kinds import EventType
from events.models import FEED, Event, FeedState

NUMBERED_WITHIN = dt.timedelta(minutes=10)


def feed_of(
    partner_key: UUID, *, after: int, limit: int, event_type: str | None = None, partner_loan_id: str | None = None
) -> list[Event]:
    """A partner's numbered events with a number above `after`, oldest first; of one type or one loan where asked."""
    return list(feed_query(partner_key, after=after, event_type=event_type, partner_loan_id=partner_loan_id)[:limit])


def feed_query(
    partner_key: UUID, *, after: int, event_type: str | None = None, partner_loan_id: str | None = None
) -> QuerySet[Event]:
    """The query of `feed_of`, for the index tests too."""
    query = Event.objects.filter(partner_key=partner_key, number__gt=after).order_by("number")
    if event_type is not None:
        query = query.filter(type=event_type)
    return query if partner_loan_id is None else query.filter(partner_loan_id=partner_loan_id)


def events_after(number: int, *, limit: int) -> list[Event]:
    """The feed of all partners from the event after `number` on, oldest first."""
    return list(Event.objects.filter(number__gt=number).order_by("number")[:limit])


def is_recorded(event_id: UUID) -> bool:
    """Whether the event was recorded; for those that are recorded once (`NewEvent.once`)."""
    return Event.objects.filter(pk=event_id).exists()


def recorded_among(event_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these events that were recorded, of a few; one query."""
    return set(Event.objects.filter(pk__in=list(event_ids)).values_list("pk", flat=True))


def newest_number() -> int:
    """The number of the feed's newest event; 0 where there is none."""
    return _state().numbered


def pruned_until() -> int:
    """The highest number whose event was deleted by age; 0 where none was."""
    return _state().pruned


def _state() -> FeedState:
    return FeedState.objects.filter(name=FEED).first() or FeedState()


def event_by_id(event_id: UUID) -> Event | None:
    """The event; None where it was deleted by age."""
    return Event.objects.filter(pk=event_id).first()


def events_to_repeat(
    partner_key: UUID, *, since: dt.datetime | None, after: int, until: int, types: Sequence[str] | None, limit: int
) -> list[Event]:
    """A partner's events with a number above `after` up to `until`, by number; of these types, None: of all but tests.

    `since`: only those created since then, read from the first number that can be of that time, so that what is older
    costs nothing. A `webhook.test` is for one endpoint at one moment, so it is left out.
    """
    first = after if since is None else max(after, _number_before(since))
    events = feed_query(partner_key, after=first).filter(number__lte=until).exclude(type=EventType.WEBHOOK_TEST)
    if since is not None:
        events = events.filter(created_at__gte=since)
    if types is not None:
        events = events.filter(type__in=list(types))
    return list(events[:limit])


def _number_before(moment: dt.datetime) -> int:
    """A number that every event created since then is above: that of the newest one well before.

    Numbers go by the time of the commit, which is at most seconds after an event's `created_at`.
    """
    before = Event.objects.filter(created_at__lt=moment - NUMBERED_WITHIN, number__gt=0).order_by("-created_at")
    newest: int | None = before.values_list("number", flat=True).first()
    return newest or 0
