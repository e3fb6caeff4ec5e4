"""What must not happen to a sender: a poisoned result, a URL that is changed meanwhile, a stop with posts under way."""

import datetime as dt
import time
from collections.abc import Callable

import pytest

from partner_platform.core import clock
from tests.webhooks.rows import URL, Receiver, ids, loans, make_endpoint, record, run, sender_to, the_delivery
from webhooks import tasks
from webhooks.delivery import claims, outcomes, sender, waking
from webhooks.delivery.lanes import TryOutcome
from webhooks.delivery.sender import SendReport
from webhooks.models import DeliveryStatus, Endpoint, EndpointStatus
from webhooks.services import endpoints

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "https://new.example/hook"


def test_a_delivery_whose_result_cannot_be_stored_fails_and_the_others_are_stored(monkeypatch, caplog) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    poisoned, other = record(endpoint.partner, *loans(2))
    result = outcomes._result

    def refuse(outcome: TryOutcome) -> object:
        if outcome.job.delivery.event_id == poisoned.pk:
            raise ValueError("no result of this one")
        return result(outcome)

    monkeypatch.setattr(outcomes, "_result", refuse)
    run(sender_to(receiver), passes=6)

    row = the_delivery(poisoned, endpoint)
    assert (row.status, row.attempts, row.last_error) == (DeliveryStatus.FAILED, 1, outcomes.GIVEN_UP)
    assert the_delivery(other, endpoint).status == DeliveryStatus.DELIVERED
    assert sorted(receiver.events()) == sorted(ids([poisoned, other]))
    assert f"delivery {row.pk} is given up" in caplog.text


@pytest.mark.parametrize("status", [410, 500])
def test_a_try_at_the_former_url_says_nothing_of_the_endpoint_whose_url_was_changed_meanwhile(status: int) -> None:
    since = clock.now() - dt.timedelta(days=6)
    endpoint, receiver = make_endpoint(failures_in_a_row=40, failing_since=since), Receiver()
    record(endpoint.partner, *loans(1))
    receiver.answers[URL] = [status]

    def move(url: str) -> None:
        if url == URL:
            endpoints.update_endpoint(partner=endpoint.partner, endpoint_id=endpoint.pk, actor="p", url=NEW)

    receiver.on_post = move
    started = sender_to(receiver)
    started.step(lambda work: work())
    started._refreshed = time.monotonic()  # it looked less than a second ago
    run(started, passes=4)

    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.failures_in_a_row) == (EndpointStatus.ENABLED, 0)
    assert (endpoint.failing_since, endpoint.resume_at) == (None, None)


def test_a_failing_endpoint_is_claimed_beside_many_that_are_only_slow(monkeypatch) -> None:
    monkeypatch.setattr(sender, "THREADS", 4)
    started = sender_to(Receiver())
    for _ in range(2):
        make_endpoint(due_at=clock.now())
    started._claim()
    for lane in started._board.lanes:
        lane.is_slow = True
    failing = make_endpoint(failures_in_a_row=1, due_at=clock.now())

    started._claim()

    assert started._board.lane(failing.pk) is not None


def test_a_sender_that_stops_keeps_the_claim_of_an_endpoint_that_a_post_is_under_way_to(monkeypatch) -> None:
    monkeypatch.setattr(sender, "STOP_SECONDS", 0.0)
    sent_to, waiting = make_endpoint(), make_endpoint(url=NEW)
    record(sent_to.partner, *loans(2))
    stopped = sender_to(Receiver())
    stopped.step(lambda work: None)
    assert stopped._board.take() is not None
    record(waiting.partner, *loans(1))
    stopped.step(lambda work: None)

    stopped._stop()

    assert Endpoint.objects.get(pk=sent_to.pk).claimed_by == stopped._token
    assert Endpoint.objects.get(pk=waiting.pk).claimed_by == ""


def test_an_endpoint_whose_pause_is_over_is_seen_as_due() -> None:
    now = clock.now()
    endpoint = make_endpoint(resume_at=now - dt.timedelta(seconds=1), due_at=now + dt.timedelta(seconds=1))
    assert claims.next_due() == endpoint.due_at


def test_a_task_that_starts_a_sender_expires(monkeypatch) -> None:
    sent: list[dict[str, object]] = []
    monkeypatch.setattr("webhooks.delivery.waking.wakeup.wake_listener", lambda _: False)
    monkeypatch.setattr("webhooks.delivery.waking.current_app.send_task", lambda *_, **values: sent.append(values))
    waking.wake_sender()
    assert sent == [{"expires": waking.EXPIRES_SECONDS}]


@pytest.mark.parametrize(("count", "woken"), [(1, 1), (0, 0)], ids=["with work", "without"])
def test_a_task_that_comes_while_a_sender_ends_is_made_up_for_where_there_is_work(
    count: int, woken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_endpoint()
    wakes: list[str] = []
    during: Callable[[], None] = tasks.deliver

    def end(**_: object) -> SendReport:
        record(endpoint.partner, *loans(count))
        during()
        return SendReport()

    monkeypatch.setattr(sender, "run_sender", end)
    monkeypatch.setattr(tasks, "wake_sender", lambda: wakes.append("woken"))
    tasks.deliver()
    assert len(wakes) == woken
