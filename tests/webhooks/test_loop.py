"""The sender's loop: woken by an event, ended without work, told to end; and what its metrics show."""

import threading
import time

import pytest
from django.db import connections
from django_redis import get_redis_connection

from partner_platform.core import clock
from partner_platform.core.redis import wakeup
from tests.factories import PartnerFactory
from tests.support.waiting import eventually
from tests.webhooks.rows import Receiver, ids, loans, make_endpoint, record, run, sender_to
from webhooks import metrics, tasks
from webhooks.delivery import sender, waking
from webhooks.delivery.sender import SendReport
from webhooks.models import Delivery, DeliveryStatus

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    get_redis_connection("default").flushdb()


def test_an_event_starts_a_sender_where_none_listens_and_wakes_it_where_one_does() -> None:
    redis, partner = get_redis_connection("default"), PartnerFactory.create()
    record(partner, None)
    assert redis.llen("webhooks") == 1
    wakeup.listen(waking.SENDER, 5)
    record(partner, None)
    assert redis.llen("webhooks") == 1
    assert redis.llen(f"wake:{waking.SENDER}") == 1


def test_a_running_sender_is_woken_sends_at_once_and_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "QUIET_SECONDS", 0.5)
    endpoint, receiver = make_endpoint(), Receiver()
    reports: list[sender.SendReport] = []

    def work() -> None:
        try:
            reports.append(sender.run_sender(max_seconds=30, client=receiver))  # type: ignore[arg-type]
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: get_redis_connection("default").exists(f"listening:{waking.SENDER}"))
    began = time.monotonic()
    events = record(endpoint.partner, *loans(3))
    eventually(lambda: len(receiver.posts) == 3)
    assert time.monotonic() - began < sender.LOOK_SECONDS + 2
    thread.join(timeout=20)
    assert sorted(receiver.events()) == sorted(ids(events))
    assert (reports[0].events, reports[0].tries, reports[0].is_live) == (3, 3, False)
    assert not get_redis_connection("default").exists(f"listening:{waking.SENDER}")


def test_the_metrics_show_what_is_undelivered_open_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (metrics.oldest_undelivered_seconds(), metrics.open_breakers()) == (0.0, 0)
    endpoint, receiver = make_endpoint(), Receiver()
    make_endpoint(endpoint.partner, failures_in_a_row=5, event_types=["loan.cured"])
    (event,) = record(endpoint.partner, None)
    now = event.created_at.timestamp() + 90
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: clock.from_seconds(int(now) + 1))
        assert 89 <= metrics.oldest_undelivered_seconds() <= 92
    assert metrics.open_breakers() == 1
    tries, delivered = metrics.attempts._value.get(), metrics.deliveries.labels(outcome="delivered")._value.get()

    run(sender_to(receiver))

    assert Delivery.objects.get().status == DeliveryStatus.DELIVERED
    assert metrics.oldest_undelivered_seconds() == 0.0
    assert metrics.attempts._value.get() == tries + 1
    assert metrics.deliveries.labels(outcome="delivered")._value.get() == delivered + 1


def test_a_process_has_one_sender_and_a_second_task_returns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(**_: object) -> SendReport:
        ran.append("sender")
        tasks.deliver()  # while this one runs
        return SendReport()

    monkeypatch.setattr(sender, "run_sender", run)
    tasks.deliver()
    assert ran == ["sender"]
    tasks.deliver()
    assert ran == ["sender", "sender"]
