"""Deliveries are made of the feed's events: once, for each endpoint that asks, whatever is killed where."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from events.kinds import EventType
from events.models import Event
from events.numbering import CLOCKS_DIFFER, number_events
from events.services import NewEvent, record_events
from partner_platform.core import clock
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory
from tests.webhooks.rows import URL, loans, make_endpoint, record
from webhooks.delivery import fan_out as fanning
from webhooks.delivery.fan_out import fan_out
from webhooks.models import Delivery, Endpoint, EndpointStatus, FanOut
from webhooks.services.endpoints import create_endpoint

pytestmark = pytest.mark.django_db(transaction=True)


def receivers() -> set[tuple[uuid.UUID, uuid.UUID]]:
    return {(row.event_id, row.endpoint_id) for row in Delivery.objects.all()}


def test_each_endpoint_of_the_partner_that_asks_for_the_type_gets_one_delivery() -> None:
    partner, other = PartnerFactory.create(), PartnerFactory.create()
    every, some = make_endpoint(partner), make_endpoint(partner, event_types=["loan.repaid", "loan.repayment"])
    make_endpoint(partner, event_types=["loan.borrowed"])
    make_endpoint(partner, status=EndpointStatus.DISABLED)
    make_endpoint(partner, deleted_at=clock.now())
    make_endpoint(other)
    (loan,) = loans(1)

    (event,) = record(partner, loan)
    assert fan_out() == 1

    assert receivers() == {(event.pk, every.pk), (event.pk, some.pk)}
    row = Delivery.objects.get(endpoint=every)
    assert (row.event_type, row.loan_id, row.partner_loan_id, row.number, row.status, row.attempts) == (
        *("loan.repayment", loan, f"loan-{loan.hex}", 1),
        *("PENDING", 0),
    )
    every.refresh_from_db()
    assert (every.due_at, every.wakes) == (row.due_at, 1)
    assert fan_out() == 0
    assert Delivery.objects.count() == 2


def test_an_endpoint_gets_what_is_behind_the_feeds_newest_number_when_it_was_made_whatever_the_clocks_say() -> None:
    partner = PartnerFactory.create()
    record(partner, None)
    number_events()
    endpoint, _ = create_endpoint(partner=partner, actor="test", url=URL, event_types=["*"])
    Endpoint.objects.update(created_at=clock.now() + dt.timedelta(seconds=2))  # by a clock that is ahead
    (after,) = record(partner, None)
    make_endpoint(partner, created_at=after.created_at + CLOCKS_DIFFER + dt.timedelta(seconds=1))

    fan_out()

    assert receivers() == {(after.pk, endpoint.pk)}


def test_a_page_is_cut_by_the_deliveries_that_it_makes_and_has_one_event_at_least(monkeypatch) -> None:
    monkeypatch.setattr(fanning, "DELIVERIES_A_PAGE", 5)
    partner, many = PartnerFactory.create(), PartnerFactory.create()
    for _ in range(2):
        make_endpoint(partner)
    for _ in range(6):
        make_endpoint(many)
    record(partner, *loans(5))
    assert [fan_out() for _ in range(4)] == [2, 2, 1, 0]
    record(many, *loans(2))
    assert [fan_out() for _ in range(3)] == [1, 1, 0]
    assert Delivery.objects.count() == 5 * 2 + 2 * 6


def test_a_test_event_goes_to_the_endpoint_that_it_names_alone_whatever_types_that_asks_for() -> None:
    partner = PartnerFactory.create()
    ahead = clock.now() + dt.timedelta(hours=1)  # the clock of who made it
    named = make_endpoint(partner, event_types=["loan.borrowed"], created_at=ahead)
    make_endpoint(partner)
    data = {"endpointId": str(named.pk)}
    (event,) = record_events([NewEvent(type=EventType.WEBHOOK_TEST, partner_key=partner.pk, data=data)])

    fan_out()

    assert receivers() == {(event.pk, named.pk)}


def test_a_page_costs_as_many_statements_for_many_events_and_endpoints_as_for_one() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            fan_out()
        return len(captured)

    partners = [PartnerFactory.create() for _ in range(3)]
    make_endpoint(partners[0])
    record(partners[0], None)
    fan_out()  # makes the rows that hold its state
    record(partners[0], *loans(1))
    for_one = statements()
    for partner in partners:
        make_endpoint(partner)
        record(partner, *loans(3))
    assert statements() == for_one
    assert Delivery.objects.count() == 2 + 3 * 4  # three of the first partner's events go to two endpoints


@pytest.mark.parametrize("statement", ["move", "endpoints", "insert"])
def test_killed_between_its_statements_it_leaves_nothing_and_makes_the_page_once(
    statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = PartnerFactory.create()
    make_endpoint(partner)
    events = record(partner, *loans(3))
    number_events()
    queryset = {"move": FanOut.objects, "endpoints": Endpoint.objects, "insert": Delivery.objects}[statement]
    name = "bulk_create" if statement == "insert" else "update"
    killed = _dies_after(getattr(type(queryset.all()), name), queryset.model)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(queryset.all()), name, killed)
        fan_out()
    assert not Delivery.objects.exists()
    assert [endpoint.wakes for endpoint in Endpoint.objects.all()] == [0]

    assert fan_out() == 3
    assert {event for event, _ in receivers()} == {event.pk for event in events}
    assert Delivery.objects.count() == 3


def _dies_after(act: Callable[..., object], model: type) -> Callable[..., object]:
    def die(queryset: QuerySet[Any], *args: object, **values: object) -> object:
        done = act(queryset, *args, **values)
        if queryset.model is model:
            raise KeyboardInterrupt
        return done

    return die


def test_fan_outs_at_once_make_each_delivery_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanning, "EVENTS_A_PAGE", 10)
    partner = PartnerFactory.create()
    make_endpoint(partner)
    events = record(partner, *loans(60))

    def work(_: int) -> None:
        while not fanning.is_up_to_date():
            fan_out()

    at_once(4, work)

    assert sorted(row.event_id for row in Delivery.objects.all()) == sorted(event.pk for event in events)
    assert FanOut.objects.get().until == 60


def test_an_endpoint_that_is_disabled_while_its_page_is_made_gets_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    endpoint, kept = make_endpoint(partner), make_endpoint(partner)
    (event,) = record(partner, None)
    choose = fanning._choose

    def choose_then_disable(events: list[Event]) -> list[tuple[Event, Endpoint]]:
        chosen = choose(events)
        Endpoint.objects.filter(pk=endpoint.pk).update(status=EndpointStatus.DISABLED)
        return chosen

    monkeypatch.setattr(fanning, "_choose", choose_then_disable)
    fan_out()

    assert receivers() == {(event.pk, kept.pk)}
