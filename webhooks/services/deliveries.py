"""Delivering again what a partner asks for: one delivery, or the events since a moment. Nothing is sent here.

What was delivered, or failed for good, is delivered anew (`Delivery.resend` counts); what is pending becomes due now.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from events import selectors as event_selectors
from events.models import Event
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Conflict, ErrorCode, Gone
from partners import credentials
from partners.models import Partner
from webhooks import selectors
from webhooks.models import ALL_TYPES, Delivery, DeliveryStatus, Endpoint
from webhooks.services.endpoints import require_enabled
from webhooks.services.pending import make_due_now

MAX_RESENT = 1_000  # events of one call, which is one transaction
ROWS_AN_INSERT = 200


@dataclass(frozen=True)
class Resent:
    """How many events are to be delivered, and the number in the feed after which the next call goes on; None: done."""

    scheduled: int
    next: int | None


@needs(Right.RESEND_WEBHOOKS)
def retry_delivery(*, partner: Partner, delivery_id: object, actor: str) -> Delivery:
    """Deliver now: a pending delivery is tried at once, another one anew; returns the delivery that will be sent.

    What waits before it, of the same loan, is tried at once too, and an endpoint that is paused is sent to.
    Raises 404 `delivery_not_found`, or `endpoint_not_found` where the endpoint is deleted; 409 `endpoint_disabled`, or
    `event_expired` where the event was deleted by age.
    """

    def retry() -> Delivery:
        credentials.serialize_changes(partner)
        delivery = selectors.get_delivery(partner=partner, delivery_id=delivery_id)
        endpoint = selectors.get_endpoint(partner=partner, endpoint_id=delivery.endpoint_id)
        require_enabled(endpoint)
        event = event_selectors.event_by_id(delivery.event_id)
        if event is None:
            raise Conflict(ErrorCode.EVENT_EXPIRED, "The event was deleted by its age and cannot be sent again")
        make_due_now(endpoint.pk, ends_pause=True)  # the endpoint's row before its deliveries', as everywhere
        _schedule(endpoint, [event], by_hand=True)
        _make_due_before(endpoint, event)
        record_change(
            actor=actor,
            action="webhook.delivery_retried",
            target=f"webhook:{endpoint.pk}",
            after={"eventId": str(event.pk), "eventType": event.type},
        )
        newest = selectors.newest_resends(endpoint, [event.pk])[event.pk]
        return Delivery.objects.select_related("endpoint").get(pk=newest.pk)

    return run_in_transaction(retry)


@needs(Right.RESEND_WEBHOOKS)
def resend_events(
    *, partner: Partner, endpoint_id: object, actor: str, since: dt.datetime | None = None, after: int | None = None
) -> Resent:
    """Deliver the events since then, or after that number of the feed, that the endpoint asks for.

    At most `MAX_RESENT`, in the feed's order. Events that have no delivery yet only because the fan-out has not reached
    them are left to it. Raises 404 `endpoint_not_found`, 409 `endpoint_disabled`, 410 `cursor_expired` where events
    after the number were deleted by age.
    """

    def resend() -> Resent:
        credentials.serialize_changes(partner)
        endpoint = selectors.get_endpoint(partner=partner, endpoint_id=endpoint_id)
        require_enabled(endpoint)
        found = event_selectors.events_to_repeat(
            partner.pk,
            since=since,
            after=after or 0,
            until=selectors.fanned_out_until(),
            types=None if ALL_TYPES in endpoint.event_types else endpoint.event_types,
            limit=MAX_RESENT + 1,
        )
        _require_kept(after)
        events, left = found[:MAX_RESENT], found[MAX_RESENT:]
        if events:
            make_due_now(endpoint.pk)
            _schedule(endpoint, events, by_hand=False)
        _record_resent(endpoint, actor, since, len(events))
        return Resent(len(events), events[-1].number if left else None)

    return run_in_transaction(resend)


def _require_kept(after: int | None) -> None:
    """Called when the events are read: those that were deleted since are missed with those of before."""
    if after is not None and after < event_selectors.pruned_until():
        message = "Events after this cursor were deleted by their age: begin again with since"
        raise Gone(ErrorCode.CURSOR_EXPIRED, message)


def _record_resent(endpoint: Endpoint, actor: str, since: dt.datetime | None, count: int) -> None:
    """`since` is null where the call goes on from the one before."""
    record_change(
        actor=actor,
        action="webhook.events_resent",
        target=f"webhook:{endpoint.pk}",
        after={"since": clock.isoformat(since), "scheduled": count},
    )


def _schedule(endpoint: Endpoint, events: list[Event], *, by_hand: bool) -> None:
    """In a transaction: a delivery for each event, or the pending one's next try now, which takes no step."""
    newest = selectors.newest_resends(endpoint, [event.pk for event in events])
    pending = sorted(row.pk for row in newest.values() if row.status == DeliveryStatus.PENDING)
    rows = Delivery.objects.filter(pk__in=pending, status=DeliveryStatus.PENDING)
    rows.update(due_at=clock.now(), by_hand=True)
    waiting = set(pending)
    again = [event for event in events if event.pk not in newest or newest[event.pk].pk not in waiting]
    Delivery.objects.bulk_create(
        [_delivery(endpoint, event, newest.get(event.pk), by_hand=by_hand) for event in again],
        batch_size=ROWS_AN_INSERT,
    )


def _make_due_before(endpoint: Endpoint, event: Event) -> None:
    """What the event's delivery waits for: the pending ones of its loan with a lower number."""
    if event.loan_id is None:
        return
    before = Delivery.objects.filter(endpoint_id=endpoint.pk, status=DeliveryStatus.PENDING, loan_id=event.loan_id)
    before.filter(number__lt=event.number).update(due_at=clock.now(), by_hand=True)


def _delivery(endpoint: Endpoint, event: Event, newest: Delivery | None, *, by_hand: bool) -> Delivery:
    """Counted from 1 where the event never had one: 0 is the fan-out's."""
    return Delivery(
        id=uuid.uuid4(),
        endpoint_id=endpoint.pk,
        partner_id=endpoint.partner_id,
        event_id=event.pk,
        event_type=event.type,
        partner_loan_id=event.partner_loan_id,
        loan_id=event.loan_id,
        number=event.number or 0,  # it has one: it is in the feed
        resend=1 if newest is None else newest.resend + 1,
        by_hand=by_hand,
        due_at=clock.now(),
    )
