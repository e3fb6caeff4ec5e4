"""Deliveries for the events of the feed: one for each endpoint of the event's partner that asks for its type.

A page is one transaction, which moves `FanOut.until` first: two fan-outs at once make a page once, and a killed one
leaves nothing of its page. A page costs the same number of statements whatever it holds, one more with a test. The
endpoints are written before the deliveries, and only where they are still enabled: an endpoint that is disabled
meanwhile fails the deliveries that it has, so none may come after.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F

from events.kinds import EventType
from events.models import Event
from events.numbering import CLOCKS_DIFFER, number_events
from events.selectors import events_after
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from webhooks.models import Delivery, Endpoint, EndpointStatus, FanOut
from webhooks.rules import wants

EVENTS_A_PAGE = 500
DELIVERIES_A_PAGE = 1_000  # and at least one event
FEED = "feed"  # the name of the only row of `FanOut`


class EndpointsChanged(Exception):
    """An endpoint was disabled or deleted since the page was read; the page is made again."""


def fan_out() -> int:
    """Number what was recorded, and make the deliveries of one page of the feed; returns how many events it read."""
    number_events()
    until = _until()
    events: Sequence[Event] = events_after(until, limit=EVENTS_A_PAGE)
    if not events:
        return 0
    while True:
        events, chosen = _cut(events, _choose(events))
        try:
            return run_in_transaction(lambda: _make(until, events, chosen))  # noqa: B023 - it is called at once
        except EndpointsChanged:
            continue


def is_up_to_date() -> bool:
    """Whether every event of the feed was read."""
    return not events_after(_until(), limit=1) and not Event.objects.filter(number=None).exists()


def _until() -> int:
    found = FanOut.objects.filter(name=FEED).first()
    if found is None:
        with suppress(IntegrityError):  # another process made it at the same moment
            FanOut.objects.create(name=FEED)
        return 0
    return found.until


def _choose(events: Sequence[Event]) -> list[tuple[Event, Endpoint]]:
    """Each event with each endpoint that is to receive it, in the order of the feed."""
    partners = {event.partner_key for event in events}
    rows = Endpoint.objects.filter(partner_id__in=sorted(partners), status=EndpointStatus.ENABLED, deleted_at=None)
    endpoints: Mapping[UUID, list[Endpoint]] = defaultdict(list)
    for endpoint in rows.only("pk", "partner_id", "event_types", "created_at", "from_number"):
        endpoints[endpoint.partner_id].append(endpoint)
    return [
        (event, endpoint) for event in events for endpoint in endpoints[event.partner_key] if _is_for(event, endpoint)
    ]


def _is_for(event: Event, endpoint: Endpoint) -> bool:
    if _is_test(event):  # for the endpoint that it names, whatever types that asks for
        return bool(json.loads(event.body)["data"].get("endpointId") == str(endpoint.pk))
    return _is_of_its_time(event, endpoint) and wants(endpoint.event_types, event.type)


def _is_of_its_time(event: Event, endpoint: Endpoint) -> bool:
    """Whether the endpoint existed when the event was recorded.

    The feed's number tells. An event that had none then is told by its time, which another machine's clock wrote.
    """
    is_behind = (event.number or 0) > endpoint.from_number
    return is_behind and event.created_at >= endpoint.created_at - CLOCKS_DIFFER


def _cut(
    events: Sequence[Event], chosen: Sequence[tuple[Event, Endpoint]]
) -> tuple[Sequence[Event], Sequence[tuple[Event, Endpoint]]]:
    """The first events that together have `DELIVERIES_A_PAGE` deliveries at most, and these."""
    if len(chosen) <= DELIVERIES_A_PAGE:
        return events, chosen
    first_left = chosen[DELIVERIES_A_PAGE][0].number or 0
    until = max(first_left - 1, events[0].number or 0)
    kept = [event for event in events if (event.number or 0) <= until]
    return kept, [pair for pair in chosen if (pair[0].number or 0) <= until]


def _is_test(event: Event) -> bool:
    return event.type == EventType.WEBHOOK_TEST


def _make(until: int, events: Sequence[Event], chosen: Sequence[tuple[Event, Endpoint]]) -> int:
    if FanOut.objects.filter(name=FEED, until=until).update(until=events[-1].number) != 1:
        return 0  # another one was first
    now = clock.now()
    keys = sorted({endpoint.pk for _, endpoint in chosen})
    live = Endpoint.objects.filter(pk__in=keys, status=EndpointStatus.ENABLED, deleted_at=None)
    if keys and live.update(due_at=now, wakes=F("wakes") + 1) != len(keys):
        raise EndpointsChanged
    if tested := sorted({endpoint.pk for event, endpoint in chosen if _is_test(event)}):
        # The test is sent at once, as a retry by hand.
        Endpoint.objects.filter(pk__in=tested).update(resume_at=None, updated_at=clock.now())
    Delivery.objects.bulk_create(
        Delivery(
            endpoint_id=endpoint.pk,
            partner_id=endpoint.partner_id,
            event_id=event.pk,
            event_type=event.type,
            partner_loan_id=event.partner_loan_id,
            loan_id=event.loan_id,
            number=event.number or 0,
            due_at=now,
            by_hand=_is_test(event),
            created_at=now,
        )
        for event, endpoint in chosen
    )
    return len(events)
