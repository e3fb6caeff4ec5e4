"""What is asked for by hand is sent though its endpoint is paused, at first, and takes no step of the schedule."""

import datetime as dt
import uuid

import pytest

from events.models import Event
from partner_platform.core import clock
from partners.models import Partner
from tests.webhooks.rows import URL, Receiver, ids, loans, make_endpoint, record, run, sender_to, the_delivery
from webhooks.delivery.sender import Sender
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint
from webhooks.services.deliveries import resend_events, retry_delivery
from webhooks.services.endpoints import send_test_event

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)


class Moment:
    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def pass_by(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    """The time of the database's rows, which stands still but for `pass_by`; waits are exact."""
    monkeypatch.setattr("webhooks.delivery.schedule.SPREAD", 0.0)
    found = Moment(clock.now())
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


def paused(receiver: Receiver, *of_loans: uuid.UUID | None) -> tuple[Endpoint, list[Event], Sender]:
    """An endpoint whose breaker is open after five failures, its events, and the sender."""
    endpoint = make_endpoint()
    events = record(endpoint.partner, *of_loans)
    receiver.answers[URL] = [500]
    sender = sender_to(receiver)
    run(sender, passes=8)
    receiver.posts.clear()
    endpoint.refresh_from_db()
    assert endpoint.resume_at is not None
    return endpoint, events, sender


def retry(endpoint: Endpoint, event: Event) -> Delivery:
    newest = Delivery.objects.filter(endpoint=endpoint, event_id=event.pk).latest("resend")
    return retry_delivery(partner=endpoint.partner, delivery_id=newest.pk, actor="test")


def test_a_retry_is_the_one_try_that_a_paused_endpoint_gets_at_once(moment: Moment) -> None:
    receiver = Receiver()
    endpoint, events, sender = paused(receiver, *loans(40))

    retry(endpoint, events[37])
    run(sender, passes=8)

    assert receiver.events() == ids([events[37]])
    endpoint.refresh_from_db()
    assert (endpoint.failures_in_a_row, endpoint.resume_at) == (6, moment.now + dt.timedelta(seconds=10))


def test_a_delivery_that_ended_is_sent_anew_though_its_endpoint_is_paused(moment: Moment) -> None:
    receiver = Receiver()
    endpoint, events, sender = paused(receiver, *loans(40))
    Delivery.objects.filter(event_id=events[0].pk).update(status=DeliveryStatus.FAILED)

    anew = retry(endpoint, events[0])
    run(sender, passes=8)

    assert receiver.events() == ids([events[0]])
    anew.refresh_from_db()
    assert (anew.resend, anew.attempts, anew.due_at) == (1, 1, moment.now + dt.timedelta(seconds=5))


def test_a_test_is_sent_though_its_endpoint_asked_for_an_hour_and_no_other_endpoint_is_woken(moment: Moment) -> None:
    receiver, endpoint = Receiver(), make_endpoint()
    record(endpoint.partner, *loans(3))
    receiver.answers[URL] = [(503, {"retry-after": "3600"}), 200]
    other = make_endpoint(endpoint.partner, url="https://x.example/", resume_at=moment.now + HOUR)
    sender = sender_to(receiver)
    run(sender)
    receiver.posts.clear()

    test = send_test_event(partner=endpoint.partner, endpoint_id=endpoint.pk)
    run(sender, passes=8)

    assert receiver.events()[0] == str(test.pk)
    assert receiver.events(other.url) == []
    other.refresh_from_db()
    assert other.resume_at == moment.now + HOUR


def test_a_resend_leaves_a_pause_as_it_is(moment: Moment) -> None:
    receiver = Receiver()
    endpoint, _, sender = paused(receiver, *loans(6))

    resent = resend_events(partner=endpoint.partner, endpoint_id=endpoint.pk, since=moment.now - HOUR, actor="test")
    run(sender, passes=8)

    assert (resent.scheduled, receiver.posts) == (6, [])
    before = endpoint.resume_at
    endpoint.refresh_from_db()
    assert endpoint.resume_at == before


def test_a_retry_behind_another_one_of_its_loan_sends_that_first(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (loan,) = loans(1)
    events = record(endpoint.partner, loan, loan, loan, loan)
    receiver.answers[URL] = [500, 200]
    sender = sender_to(receiver)
    run(sender)
    assert receiver.events() == ids(events[:1])
    moment.pass_by(1)

    retry(endpoint, events[2])
    run(sender, passes=12)

    assert receiver.events()[1:] == ids(events)  # and what waited behind
    assert not Delivery.objects.filter(status=DeliveryStatus.PENDING).exists()


def test_tries_by_hand_take_no_step_of_the_schedule(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (event,) = record(endpoint.partner, None)
    receiver.answers[URL] = [500]
    sender = sender_to(receiver)
    run(sender)
    moment.pass_by(5)
    run(sender)

    for _ in range(12):
        retry(endpoint, event)
        run(sender)

    row = the_delivery(event, endpoint)
    assert (row.status, row.attempts, row.step, row.by_hand) == (DeliveryStatus.PENDING, 14, 2, False)
    assert row.due_at == moment.now + dt.timedelta(seconds=300)
    for wait in (300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400):
        assert the_delivery(event, endpoint).status == DeliveryStatus.PENDING
        moment.pass_by(wait)
        run(sender)
    row = the_delivery(event, endpoint)
    assert (row.status, row.attempts, Attempt.objects.count()) == (DeliveryStatus.FAILED, 22, 22)


def test_one_that_is_made_anew_has_the_schedules_ten_tries(moment: Moment) -> None:
    partner: Partner = make_endpoint().partner
    receiver, endpoint = Receiver(), Endpoint.objects.get()
    (event,) = record(partner, None)
    sender = sender_to(receiver)
    run(sender)
    receiver.answers[URL] = [500]

    anew = retry(endpoint, event)
    for wait in (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400):
        moment.pass_by(wait)
        run(sender)

    anew.refresh_from_db()
    assert (anew.status, anew.attempts) == (DeliveryStatus.FAILED, 10)
