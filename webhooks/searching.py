"""What staff look for in the console: events, deliveries and attempts by a loan's id, or by an id of their own.

A term is compared exactly, and each condition is looked for by itself and begins with the columns of an index: so it
names every partner, or every endpoint and status. There are few of those beside the rows of months.
"""

import uuid
from typing import Any

from django.db.models import Q, QuerySet

from events.models import Event
from partners.models import Partner
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint

MAX_FOUND = 1_000  # by each condition


def find_events(events: QuerySet[Event], term: str) -> QuerySet[Event]:
    """Those of the loan with this partner's or internal id, or with this id."""
    return events.filter(pk__in=_keys(Event, event_conditions(term)))


def find_deliveries(deliveries: QuerySet[Delivery], term: str) -> QuerySet[Delivery]:
    """Those of the loan with this partner's or internal id, of the event with this id, or with this id."""
    return deliveries.filter(pk__in=_keys(Delivery, delivery_conditions(term)))


def find_attempts(attempts: QuerySet[Attempt], term: str) -> QuerySet[Attempt]:
    """The one with this id; else those of the deliveries that `find_deliveries` finds."""
    key = _uuid(term)
    if key is not None and (own := attempts.filter(pk=key)).exists():
        return own
    return attempts.filter(delivery_id__in=_keys(Delivery, delivery_conditions(term)))


def event_conditions(term: str) -> list[Q]:
    """What an event may be found by, each for an index."""
    found = [Q(partner_key__in=_all(Partner), partner_loan_id=term)]
    key = _uuid(term)
    return found if key is None else [*found, Q(pk=key), Q(loan_id=key)]


def delivery_conditions(term: str) -> list[Q]:
    """What a delivery may be found by, each for an index."""
    found = [Q(partner_id__in=_all(Partner), partner_loan_id=term)]
    key, endpoints = _uuid(term), _all(Endpoint)
    if key is None:
        return found
    of_loan = Q(endpoint_id__in=endpoints, status__in=DeliveryStatus.values, loan_id=key)
    return [*found, Q(pk=key), Q(endpoint_id__in=endpoints, event_id=key), of_loan]


def _keys(model: type[Event] | type[Delivery], conditions: list[Q]) -> set[uuid.UUID]:
    objects: Any = model._default_manager
    found = [objects.filter(condition).values_list("pk", flat=True)[:MAX_FOUND] for condition in conditions]
    return {key for keys in found for key in keys}


def _all(model: type[Partner] | type[Endpoint]) -> list[uuid.UUID]:
    return list(model.objects.values_list("pk", flat=True))


def _uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None
