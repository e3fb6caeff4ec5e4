"""Events, deliveries and attempts are deleted by age: never what is still to be delivered, never without a trace."""

import datetime as dt
import uuid
from typing import Any

import pytest

from events import retention as event_retention
from events import selectors
from events.kinds import EventType
from events.models import FEED, Event, FeedState
from events.numbering import ensure_state, number_events
from events.services import NewEvent, record_events
from partner_platform.core import clock
from partners.models import Partner
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory
from webhooks import retention, tasks
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint, FanOut
from webhooks.retention import Deleted, delete_old

pytestmark = pytest.mark.django_db

FANNED_OUT = 1_000


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(event_retention, "PAUSE_SECONDS", 0)


@pytest.fixture
def partner() -> Partner:
    FanOut.objects.create(until=FANNED_OUT)
    ensure_state()
    return PartnerFactory.create()


def days_ago(days: int) -> dt.datetime:
    return clock.now() - dt.timedelta(days=days)


def record(partner: Partner, *ages: int) -> list[Event]:
    """Events of these ages in days, numbered in this order."""
    written = []
    for age in ages:
        written += record_events([NewEvent(type=EventType.WEBHOOK_TEST, partner_key=partner.pk, data={})])
        number_events()
        Event.objects.filter(pk=written[-1].pk).update(created_at=days_ago(age))
    return written


def deliver(partner: Partner, status: DeliveryStatus, age: int, *, number: int = 1, tries: int = 1) -> Delivery:
    endpoint = Endpoint.objects.filter(partner=partner).first() or Endpoint.objects.create(
        partner=partner, url="https://x.example"
    )
    delivery = Delivery.objects.create(
        endpoint=endpoint,
        partner=partner,
        event_id=uuid.uuid4(),
        event_type=EventType.WEBHOOK_TEST,
        number=number,
        status=status,
        created_at=days_ago(age),
    )
    for attempt in range(tries):
        Attempt.objects.create(delivery=delivery, number=attempt + 1, created_at=days_ago(age))
    return delivery


def kept() -> list[int | None]:
    return list(Event.objects.order_by("number").values_list("number", flat=True))


def test_events_older_than_the_setting_are_deleted_and_the_feed_says_up_to_which(
    partner: Partner, settings: Any
) -> None:
    settings.EVENTS_KEEP_DAYS = 30
    record(partner, 40, 31, 29, 0)

    assert delete_old() == Deleted(events=2)

    assert (kept(), selectors.pruned_until()) == ([3, 4], 2)


def test_an_old_event_behind_a_younger_one_waits_for_it(partner: Partner) -> None:
    record(partner, 100, 10, 100)

    delete_old()

    assert (kept(), selectors.pruned_until()) == ([2, 3], 1)


def test_an_event_without_a_number_is_not_deleted_whatever_its_age(partner: Partner) -> None:
    (event,) = record_events([NewEvent(type=EventType.WEBHOOK_TEST, partner_key=partner.pk, data={})])
    Event.objects.filter(pk=event.pk).update(created_at=days_ago(100))

    assert delete_old() == Deleted()
    assert kept() == [None]


def test_events_that_the_fan_out_did_not_read_stay(partner: Partner) -> None:
    record(partner, 100, 100, 100)
    FanOut.objects.update(until=1)

    delete_old()

    assert kept() == [2, 3]


def test_events_stay_from_the_first_one_on_that_is_still_to_be_delivered(partner: Partner) -> None:
    record(partner, 100, 100, 100)
    deliver(partner, DeliveryStatus.DELIVERED, 100, number=1)
    deliver(partner, DeliveryStatus.PENDING, 100, number=3)
    deliver(partner, DeliveryStatus.PENDING, 100, number=2)

    delete_old()

    assert (kept(), selectors.pruned_until()) == ([2, 3], 1)


def test_every_batch_is_whole_and_a_run_that_is_killed_goes_on_next_time(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "EVENTS_A_BATCH", 2)
    record(partner, 100, 100, 100, 100, 100, 0)
    batches = []

    def pause(_: float) -> None:
        batches.append((kept()[0], selectors.pruned_until()))
        if len(batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(event_retention, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        delete_old()
    assert batches == [(3, 2), (5, 4)]

    assert delete_old().events == 1
    assert (kept(), selectors.pruned_until()) == ([6], 5)


def test_a_batch_whose_place_another_run_passed_deletes_nothing(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(partner, 100, 100)
    FeedState.objects.filter(name=FEED).update(pruned=1)
    monkeypatch.setattr(selectors, "pruned_until", lambda: 0)

    assert event_retention.delete_old_events(before=clock.now(), until=2) == 0
    assert kept() == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_runs_at_once_delete_each_event_once(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_retention, "EVENTS_A_BATCH", 5)
    record(partner, *[100] * 20, 0)

    deleted = at_once(4, lambda _: event_retention.delete_old_events(before=days_ago(90), until=FANNED_OUT))

    assert (sum(deleted), kept(), selectors.pruned_until()) == (20, [21], 20)


def test_deliveries_that_ended_long_ago_are_deleted_with_their_attempts(partner: Partner, settings: Any) -> None:
    settings.WEBHOOK_DELIVERIES_KEEP_DAYS, settings.WEBHOOK_ATTEMPTS_KEEP_DAYS = 20, 400
    for status in (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED):
        deliver(partner, status, 21, tries=3)
        deliver(partner, status, 19, tries=2)

    assert tasks.delete_what_is_old() == 2

    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["DELIVERED", "FAILED"]
    assert Attempt.objects.count() == 4


def test_a_pending_delivery_stays_with_its_attempts_whatever_its_age(partner: Partner, settings: Any) -> None:
    settings.WEBHOOK_ATTEMPTS_KEEP_DAYS = 400
    deliver(partner, DeliveryStatus.PENDING, 300, tries=2)

    assert delete_old() == Deleted()
    assert (Delivery.objects.count(), Attempt.objects.count()) == (1, 2)


def test_a_delivery_that_is_retried_at_that_moment_stays_with_its_attempts(
    partner: Partner, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_ATTEMPTS_KEEP_DAYS = 400
    retried = deliver(partner, DeliveryStatus.FAILED, 100, tries=2)
    delete_batch = retention._delete_batch

    def after_a_retry(ids: list[uuid.UUID], status: DeliveryStatus) -> bool:
        Delivery.objects.filter(pk=retried.pk).update(status=DeliveryStatus.PENDING)
        return delete_batch(ids, status)

    monkeypatch.setattr(retention, "_delete_batch", after_a_retry)

    assert delete_old() == Deleted()
    assert (Delivery.objects.get().status, Attempt.objects.count()) == ("PENDING", 2)


def test_attempts_are_deleted_sooner_than_their_delivery(partner: Partner) -> None:
    deliver(partner, DeliveryStatus.DELIVERED, 31, tries=2)
    deliver(partner, DeliveryStatus.DELIVERED, 29, tries=1)

    assert delete_old() == Deleted(attempts=2)
    assert (Delivery.objects.count(), Attempt.objects.count()) == (2, 1)


def test_many_deliveries_go_in_batches(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELIVERIES_A_BATCH", 2)
    monkeypatch.setattr(retention, "BATCHES_A_RUN", 2)
    for _ in range(5):
        deliver(partner, DeliveryStatus.DELIVERED, 100)

    assert delete_old().deliveries == 4
    assert delete_old().deliveries == 1
