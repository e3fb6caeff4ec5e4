"""What staff look for in the console: events, deliveries and attempts by a loan's id, or by an id of their own.

A term is compared exactly, and each condition begins with the columns of an index: so it names every partner, or every
endpoint and status. There are few of those beside the rows of months.
"""

import uuid

from django.db.models import Q, QuerySet

from events.models import Event
from partners.models import Partner
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint

MAX_DELIVERIES = 1_000  # whose attempts are looked for


def find_events(events: QuerySet[Event], term: str) -> QuerySet[Event]:
    """Those of the loan with this partner's or internal id, or with this id."""
    found = Q(partner_key__in=_all(Partner), partner_loan_id=term)
    if (key := _uuid(term)) is not None:
        found |= Q(pk=key) | Q(loan_id=key)
    return events.filter(found)


def find_deliveries(deliveries: QuerySet[Delivery], term: str) -> QuerySet[Delivery]:
    """Those of the loan with this partner's or internal id, of the event with this id, or with this id."""
    found = Q(partner_id__in=_all(Partner), partner_loan_id=term)
    if (key := _uuid(term)) is not None:
        endpoints = _all(Endpoint)
        found |= Q(pk=key) | Q(endpoint_id__in=endpoints, event_id=key)
        found |= Q(endpoint_id__in=endpoints, status__in=DeliveryStatus.values, loan_id=key)
    return deliveries.filter(found)


def find_attempts(attempts: QuerySet[Attempt], term: str) -> QuerySet[Attempt]:
    """Those of the deliveries that `find_deliveries` finds, the newest of them, or with this id."""
    newest = find_deliveries(Delivery.objects.all(), term).order_by("-created_at")[:MAX_DELIVERIES]
    found = Q(delivery_id__in=list(newest.values_list("pk", flat=True)))
    if (key := _uuid(term)) is not None:
        found |= Q(pk=key)
    return attempts.filter(found)


def _all(model: type[Partner] | type[Endpoint]) -> list[uuid.UUID]:
    return list(model.objects.values_list("pk", flat=True))


def _uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None
