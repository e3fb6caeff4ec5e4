"""A year of events and deliveries stays queryable: each query finds its rows by an index, says the engine's planner."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet

import events.numbering
import events.retention
import events.selectors
from events.models import Event
from partner_platform.core import clock
from partner_platform.core.web.pagination import NEWEST_FIRST, Place, behind
from tests.support.planner import assert_uses_index
from webhooks import retention
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint, EndpointStatus

pytestmark = pytest.mark.django_db

KEY = uuid.uuid4()
NOW = clock.now()
PLACE = Place(NOW, KEY)


def deliveries(**chosen: object) -> QuerySet[Any]:
    """A page of the list of deliveries, deep in it."""
    return behind(Delivery.objects.filter(**chosen).order_by(*NEWEST_FIRST), PLACE)[:100]


def to_send(**chosen: object) -> QuerySet[Any]:
    """What one endpoint still has to be sent."""
    return Delivery.objects.filter(endpoint_id=KEY, status=DeliveryStatus.PENDING, **chosen)


UNIQUE = ""  # the index of a unique constraint, which SQLite calls otherwise

# The index that serves each, and the query.
QUERIES: dict[str, tuple[str, Callable[[], QuerySet[Any]]]] = {
    "a partner's feed": ("event_partner_number", lambda: events.selectors.feed_query(KEY, after=7)[:100]),
    "a partner's feed of one type": (
        "event_partner_type",
        lambda: events.selectors.feed_query(KEY, after=7, event_type="loan.repaid")[:100],
    ),
    "a partner's feed of one loan": (
        "event_partner_loan",
        lambda: events.selectors.feed_query(KEY, after=7, partner_loan_id="loan-1")[:100],
    ),
    "a loan's events by its internal id": (
        UNIQUE,
        lambda: Event.objects.filter(loan_id=KEY).order_by("sequence"),
    ),
    "the feed of all partners": (
        "event_number",
        lambda: Event.objects.filter(number__gt=7).order_by("number")[:500],
    ),
    "events to number": ("event_number", lambda: Event.objects.filter(number=None)[:1]),
    "events to number, oldest first": (
        "event_number",
        lambda: events.numbering.oldest_first(Event.objects.filter(number=None))[:500],
    ),
    "the oldest events": ("event_number", lambda: events.retention.oldest_query(7, 900)[:500]),
    "deliveries that ended long ago": (
        "delivery_oldest",
        lambda: retention.ended_query(DeliveryStatus.DELIVERED, NOW)[:200],
    ),
    "old attempts": ("attempt_time", lambda: retention.attempts_query(NOW)[:500]),
    "a partner's deliveries": ("delivery_partner_time", lambda: deliveries(partner_id=KEY)),
    "a partner's deliveries of one status": (
        "delivery_partner_status",
        lambda: deliveries(partner_id=KEY, status=DeliveryStatus.FAILED),
    ),
    "a partner's deliveries of one type": (
        "delivery_partner_type",
        lambda: deliveries(partner_id=KEY, event_type="loan.repaid"),
    ),
    "a partner's deliveries of one loan": (
        "delivery_partner_loan",
        lambda: deliveries(partner_id=KEY, partner_loan_id="loan-1"),
    ),
    "an endpoint's deliveries": ("delivery_endpoint_time", lambda: deliveries(endpoint_id=KEY)),
    "attempts of a delivery": (
        "attempt_delivery",
        lambda: Attempt.objects.filter(delivery_id=KEY).order_by("created_at"),
    ),
    "a delivery by its event": (
        UNIQUE,
        lambda: Delivery.objects.filter(endpoint_id=KEY, event_id=KEY).order_by("resend"),
    ),
    "a partner's endpoints": (
        "endpoint_partner",
        lambda: Endpoint.objects.filter(partner_id=KEY).order_by("created_at"),
    ),
    "endpoints that are due": (
        "endpoint_due",
        lambda: Endpoint.objects.filter(status=EndpointStatus.ENABLED, due_at__lte=NOW).order_by("due_at")[:100],
    ),
    "what an endpoint is to be sent now": (
        "delivery_due",
        lambda: to_send(due_at__lte=NOW).order_by("due_at", "number")[:100],
    ),
    "whether an earlier event of the loan is still to be sent": (
        "delivery_order",
        lambda: to_send(loan_id=KEY, number__lt=7)[:1],
    ),
    "what an endpoint is to be sent of one loan, in order": (
        "delivery_order",
        lambda: to_send(loan_id=KEY).order_by("number")[:1],
    ),
    "the oldest that is not delivered": (
        "delivery_oldest",
        lambda: Delivery.objects.filter(status=DeliveryStatus.PENDING).order_by("created_at")[:1],
    ),
}

# Found by the index and sorted: what is still to be delivered is little beside a year of deliveries.
SORTED: dict[str, tuple[str, Callable[[], QuerySet[Any]]]] = {
    "the lowest number that is not delivered": ("delivery_", lambda: retention.undelivered_query()[:1]),
    "events of some loans to number": ("event_", lambda: Event.objects.filter(number=None, loan_id__in=[KEY, KEY])),
    "deliveries of some loans, as the order asks": (
        "delivery_order",
        lambda: to_send(loan_id__in=[KEY, uuid.uuid4()]).order_by("number")[:100],
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_and_their_order_by_the_index_made_for_it(name: str) -> None:
    index, query = QUERIES[name]

    assert_uses_index(query(), index=index)


@pytest.mark.parametrize("name", SORTED)
def test_a_query_finds_its_rows_by_an_index(name: str) -> None:
    index, query = SORTED[name]

    assert_uses_index(query(), index=index, sorts=True)
