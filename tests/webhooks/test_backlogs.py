"""An endpoint with a large backlog is disabled, deleted, enabled: its deliveries fail in batches, by a sender too."""

import datetime as dt
import uuid

import pytest

from partner_platform.core import clock
from tests.webhooks.rows import URL, Receiver, ids, loans, make_endpoint, record, run, sender_to, the_delivery
from webhooks import metrics, retention
from webhooks.delivery.fan_out import fan_out
from webhooks.models import Delivery, DeliveryStatus, Endpoint, EndpointStatus
from webhooks.services import endpoints, pending

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "https://other.example/hook"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many deliveries each transaction failed; a batch is 3, and who disables fails one batch."""
    found: list[int] = []
    fail = pending._fail_batch

    def fail_and_note(endpoint_id: uuid.UUID) -> int:
        found.append(fail(endpoint_id))
        return found[-1]

    monkeypatch.setattr(pending, "BATCH", 3)
    monkeypatch.setattr(endpoints, "BATCH", 3)
    monkeypatch.setattr(pending, "BATCHES_AT_ONCE", 1)
    monkeypatch.setattr(pending, "_fail_batch", fail_and_note)
    return found


def endpoint_with_backlog(count: int = 8) -> Endpoint:
    """An endpoint with so many deliveries that are due tomorrow."""
    endpoint = make_endpoint()
    record(endpoint.partner, *loans(count))
    fan_out()
    Delivery.objects.update(due_at=clock.now() + dt.timedelta(days=1))
    return endpoint


def statuses(endpoint: Endpoint) -> list[str]:
    return sorted(Delivery.objects.filter(endpoint=endpoint).values_list("status", flat=True))


def test_a_410_of_an_endpoint_with_a_backlog_disables_it_and_others_are_sent_to_meanwhile(batches) -> None:
    endpoint, receiver = endpoint_with_backlog(), Receiver()
    other = make_endpoint(url=OTHER)
    record(endpoint.partner, *loans(1))
    events = record(other.partner, *loans(1))
    receiver.answers[URL] = [410]

    run(sender_to(receiver), passes=8)

    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.due_at) == (EndpointStatus.DISABLED, None)
    assert set(statuses(endpoint)) == {DeliveryStatus.FAILED}
    assert max(batches) == 3
    assert receiver.events(OTHER) == ids(events)
    assert set(Delivery.objects.filter(endpoint=endpoint).values_list("last_error", flat=True)) == {
        "It answered 410 Gone"
    }


def test_a_deleted_endpoints_backlog_is_failed_by_a_sender_where_who_deleted_it_was_killed(batches) -> None:
    endpoint = endpoint_with_backlog()
    endpoints.delete_endpoint(partner=endpoint.partner, endpoint_id=endpoint.pk, actor="test")
    assert batches == [3]  # after the commit; then it is a sender's
    assert statuses(endpoint).count(DeliveryStatus.PENDING) == 5
    assert metrics.oldest_undelivered_seconds() == 0.0
    assert retention.undelivered_query().first() is None

    sender = sender_to(Receiver())
    assert sender.step(lambda work: work())
    assert not sender.step(lambda work: work())

    assert batches == [3, 3, 2]
    assert set(Delivery.objects.values_list("status", "last_error")) == {("FAILED", "The endpoint was deleted")}


def test_an_endpoint_that_is_enabled_while_a_backlog_is_left_is_not_sent_it(batches) -> None:
    endpoint, receiver = endpoint_with_backlog(), Receiver()
    endpoints.disable_endpoint(endpoint_id=endpoint.pk, actor="test", reason="Tests")
    assert statuses(endpoint).count(DeliveryStatus.PENDING) == 5

    endpoints.update_endpoint(partner=endpoint.partner, endpoint_id=endpoint.pk, actor="test", status="ENABLED")
    assert set(statuses(endpoint)) == {DeliveryStatus.FAILED}
    (event,) = record(endpoint.partner, *loans(1))
    run(sender_to(receiver))

    assert receiver.events() == ids([event])
    assert the_delivery(event, endpoint).status == DeliveryStatus.DELIVERED


def test_nothing_of_an_endpoint_that_is_enabled_is_failed() -> None:
    endpoint = endpoint_with_backlog(2)
    assert pending.fail_pending(endpoint.pk) == 0
    assert set(statuses(endpoint)) == {DeliveryStatus.PENDING}
