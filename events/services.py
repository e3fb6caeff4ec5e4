"""Recording events."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from events.kinds import EventType
from events.models import Event
from events.signals import events_recorded
from partner_platform.core import clock
from partner_platform.core.database.transactions import on_commit
from partner_platform.core.web import api_versions

_ONCE = uuid.UUID("6f2c1a8e-5b0d-4c62-9d0a-0a1b7f6f3e55")  # the namespace of ids made of `NewEvent.once`


@dataclass(frozen=True)
class NewEvent:
    """An event to be recorded; `data` is JSON, amounts as strings of base units.

    `loan_id` (the internal id), `partner_loan_id` and `sequence` are those of the loan that it is about. `extra` are
    further fields at the top level of the body, beside the ones that every event has. With `once` the event's id is
    made of that text: recorded a second time, it raises IntegrityError, which its caller asks about before.
    """

    type: EventType
    partner_key: uuid.UUID
    data: Mapping[str, Any]
    loan_id: uuid.UUID | None = None
    partner_loan_id: str = ""
    sequence: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None


def record_events(new: Sequence[NewEvent]) -> list[Event]:
    """Write events in the caller's transaction, that of the change itself; one insert. Never pass a secret."""
    events = [_event(item) for item in new]
    Event.objects.bulk_create(events)
    on_commit(lambda: events_recorded.send_robust(sender=Event))
    return events


def event_id_of(once: str) -> uuid.UUID:
    """The id of the event that is recorded with this `once`."""
    return uuid.uuid5(_ONCE, once)


def _event(new: NewEvent) -> Event:
    event = Event(
        type=new.type,
        partner_key=new.partner_key,
        partner_loan_id=new.partner_loan_id,
        loan_id=new.loan_id,
        sequence=new.sequence,
    )
    if new.once is not None:
        event.id = event_id_of(new.once)
    body = {
        "id": str(event.id),
        "type": str(new.type),
        "createdAt": clock.isoformat(event.created_at),
        "apiVersion": api_versions.current(),
        "partnerLoanId": new.partner_loan_id or None,
        "sequence": new.sequence or None,
        **new.extra,
        "data": new.data,
    }
    event.body = json.dumps(body, separators=(",", ":"))
    return event
