"""What the sender does with due deliveries: order, retries, the breaker, disabling, claims. The network is scripted."""

import datetime as dt
import hashlib
import hmac
import json
import uuid

import pytest
from django.conf import settings as configured
from standardwebhooks import Webhook

from audit.models import AuditEntry
from events.models import Event
from partner_platform.core import clock
from partner_platform.core.outside import OutsideError
from partner_platform.core.outside.errors import Kind
from partner_platform.core.secrets import crypto
from partners.models import OutgoingMail
from tests.factories import PartnerFactory
from tests.webhooks.rows import URL, Answer, Receiver, ids, loans, make_endpoint, record, run, sender_to, the_delivery
from webhooks import metrics
from webhooks.delivery import claims, disabling, outcomes, reading
from webhooks.delivery.fan_out import fan_out
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint, EndpointStatus
from webhooks.secrets import new_secret

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
TIMEOUT = OutsideError(Kind.TIMEOUT, "The receiver did not answer within 15 seconds")


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.delivery.schedule.SPREAD", 0.0)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> "Moment":
    """The time of the database's rows, which stands still but for `pass_by`."""
    found = Moment(clock.now())
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


class Moment:
    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def pass_by(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


def test_a_delivery_is_the_events_very_bytes_with_both_kinds_of_signatures_and_its_try_is_kept() -> None:
    secret, receiver = new_secret(), Receiver()
    endpoint = make_endpoint(secret=secret)
    (event,) = record(endpoint.partner, *loans(1))

    run(sender_to(receiver))

    ((url, headers, body),) = receiver.posts
    assert (url, body) == (URL, event.body.encode())
    assert headers["X-Webhook-Signature"] == "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert Webhook(secret).verify(body, headers) == json.loads(event.body)
    assert (headers["X-Webhook-Event"], headers["webhook-id"]) == ("loan.repayment", str(event.pk))
    assert int(headers["X-Webhook-Timestamp"]) // 1000 == int(headers["webhook-timestamp"])
    assert headers["Content-Type"] == "application/json"
    delivery = the_delivery(event, endpoint)
    assert (delivery.status, delivery.attempts, delivery.last_status_code) == (DeliveryStatus.DELIVERED, 1, 200)
    attempt = Attempt.objects.get()
    assert (attempt.request_headers, attempt.response_body, attempt.status_code) == (headers, "the answer", 200)
    endpoint.refresh_from_db()
    assert (endpoint.claimed_by, endpoint.due_at, endpoint.failures_in_a_row) == ("", None, 0)
    assert endpoint.delivered_at == delivery.finished_at


def test_after_a_rotation_both_secrets_sign() -> None:
    new, former, receiver = new_secret(), new_secret(), Receiver()
    until = clock.now() + dt.timedelta(hours=1)
    former_token = crypto.encrypt(former)
    endpoint = make_endpoint(secret=new, previous_secret=former_token, previous_secret_until=until)
    record(endpoint.partner, None)

    run(sender_to(receiver))

    ((_, headers, body),) = receiver.posts
    plain = [f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}" for key in (new, former)]
    assert headers["X-Webhook-Signature"] == ",".join(plain)
    for secret in (new, former):
        Webhook(secret).verify(body, headers)


def test_a_failed_delivery_holds_back_its_own_loan_and_no_other_and_the_next_are_sent_in_order(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    first, other = loans(2)
    events = record(endpoint.partner, first, other, first, first, other)
    receiver.answers[URL] = [500, 200]
    sender = sender_to(receiver)

    run(sender)
    assert receiver.events() == ids([events[0], events[1], events[4]])
    due = moment.now + dt.timedelta(seconds=5)
    waiting = [the_delivery(event, endpoint) for event in (events[0], events[2], events[3])]
    assert [(row.status, row.attempts, row.due_at) for row in waiting] == [
        (DeliveryStatus.PENDING, 1, due),
        (DeliveryStatus.PENDING, 0, due),
        (DeliveryStatus.PENDING, 0, due),
    ]
    moment.pass_by(4.9)
    run(sender)
    assert len(receiver.posts) == 3

    moment.pass_by(0.1)
    run(sender)
    assert receiver.events()[3:] == ids([events[0], events[2], events[3]])
    assert not Delivery.objects.exclude(status=DeliveryStatus.DELIVERED).exists()


def test_an_event_that_comes_behind_a_waiting_one_waits_with_it_and_is_released_with_it(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (loan,) = loans(1)
    (head,) = record(endpoint.partner, loan)
    receiver.answers[URL] = [500, 500, 200]
    sender = sender_to(receiver)
    run(sender)
    (behind,) = record(endpoint.partner, loan)
    run(sender)
    assert receiver.events() == ids([head])

    moment.pass_by(5)
    run(sender)  # fails again, and waits five minutes
    run(sender)
    assert the_delivery(behind, endpoint).due_at == moment.now + dt.timedelta(seconds=300)
    # A person has the head tried now, so what waits with it is sent behind it now.
    Delivery.objects.filter(event_id=head.pk).update(due_at=moment.now)
    Endpoint.objects.update(due_at=moment.now, wakes=7)
    run(sender)
    assert receiver.events()[2:] == ids([head, behind])


def test_a_delivery_that_is_given_up_releases_the_next_of_its_loan(moment: Moment, settings) -> None:
    settings.WEBHOOK_RETRY_SCHEDULE = [0.0, 5.0, 60.0]
    endpoint, receiver = make_endpoint(), Receiver()
    (loan,) = loans(1)
    head, behind = record(endpoint.partner, loan, loan)
    receiver.answers[URL] = [500, 500, 500, 200]
    sender = sender_to(receiver)

    for wait in (0, 5, 60):
        moment.pass_by(wait)
        run(sender)

    assert receiver.events() == ids([head, head, head, behind])
    given_up = the_delivery(head, endpoint)
    assert (given_up.status, given_up.attempts, given_up.finished_at) == (DeliveryStatus.FAILED, 3, moment.now)
    assert given_up.last_error == "The receiver answered 500"
    assert the_delivery(behind, endpoint).status == DeliveryStatus.DELIVERED


def test_a_lower_number_that_is_sent_again_comes_before_what_waits_of_its_loan(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (loan,) = loans(1)
    first, second, third = record(endpoint.partner, loan, loan, loan)
    fan_out()
    # The second waits for a later try; the first is asked for again; the third is due.
    Delivery.objects.filter(event_id=first.pk).update(status=DeliveryStatus.DELIVERED)
    Delivery.objects.filter(event_id=second.pk).update(due_at=moment.now + dt.timedelta(hours=1), attempts=1)
    Delivery.objects.filter(event_id=third.pk).update(due_at=moment.now - dt.timedelta(seconds=1))
    Delivery.objects.create(
        endpoint=endpoint,
        partner=endpoint.partner,
        event_id=first.pk,
        number=1,
        loan_id=loan,
        resend=1,
        due_at=moment.now,
    )
    run(sender_to(receiver))

    assert receiver.events() == ids([first])
    assert the_delivery(third, endpoint).due_at == moment.now + dt.timedelta(hours=1)


def test_a_loan_of_many_events_does_not_keep_others_from_being_read(moment: Moment, monkeypatch) -> None:
    monkeypatch.setattr(reading, "ROWS_EACH", 3)
    monkeypatch.setattr(reading, "ROWS_OF_LOANS", 8)
    endpoint, receiver = make_endpoint(), Receiver()
    long, other = loans(2)
    events = record(endpoint.partner, *[long] * 20, other)

    run(sender_to(receiver), passes=60)

    assert [event for event in receiver.events() if event != str(events[-1].pk)] == ids(events[:-1])
    assert receiver.events().index(str(events[-1].pk)) < 20


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (302, "The receiver answered 302: redirects are not followed"),
        (404, "The receiver answered 404"),
        (TIMEOUT, str(TIMEOUT)),
    ],
    ids=["redirect", "status", "no answer"],
)
def test_what_is_not_2xx_is_a_failed_try_with_a_sentence(answer: Answer, error: str, moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (event,) = record(endpoint.partner, None)
    receiver.answers[URL] = [answer]
    run(sender_to(receiver))

    delivery = the_delivery(event, endpoint)
    assert (delivery.status, delivery.last_error) == (DeliveryStatus.PENDING, error)
    assert delivery.due_at == moment.now + dt.timedelta(seconds=5)
    assert Attempt.objects.get().error == error


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(429, "90", 90), (503, "90", 90), (500, "90", 0), (429, "2", 5), (429, "999999999", 86_400), (429, "soon", 0)],
)
def test_retry_after_puts_off_the_whole_endpoint_within_bounds(
    status: int, header: str, seconds: int, moment: Moment
) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    first, second = record(endpoint.partner, *loans(2))
    receiver.answers[URL] = [(status, {"retry-after": header}), 200]
    sender = sender_to(receiver)
    run(sender)

    assert the_delivery(first, endpoint).due_at == moment.now + dt.timedelta(seconds=max(seconds, 5))
    if not seconds:
        assert receiver.events() == ids([first, second])
        return
    asked = 2 if header == "2" else seconds
    assert receiver.events() == ids([first])
    moment.pass_by(asked - 0.001)
    run(sender)
    assert receiver.events() == ids([first])
    moment.pass_by(0.001)
    run(sender)
    assert receiver.events()[1] in ids([first, second])
    assert the_delivery(second, endpoint).attempts == 1


def test_the_breaker_opens_after_five_failures_and_lets_one_try_through_at_a_time(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    record(endpoint.partner, *loans(20))
    receiver.answers[URL] = [500]
    sender = sender_to(receiver)

    run(sender, passes=8)
    assert len(receiver.posts) == 5
    endpoint.refresh_from_db()
    assert (endpoint.failures_in_a_row, endpoint.claimed_by) == (5, "")
    assert endpoint.resume_at == moment.now + dt.timedelta(seconds=5)
    assert Delivery.objects.filter(attempts=0).count() == 15  # put off without using up a try

    moment.pass_by(5)
    run(sender, passes=8)
    assert len(receiver.posts) == 6
    endpoint.refresh_from_db()
    assert endpoint.resume_at == moment.now + dt.timedelta(seconds=10)

    receiver.answers[URL] = [200]
    moment.pass_by(10)
    run(sender, passes=12)
    assert not Delivery.objects.filter(attempts=0).exists()
    endpoint.refresh_from_db()
    assert endpoint.failures_in_a_row == 0
    assert [endpoint.resume_at, endpoint.failing_since] == [None, None]


def test_410_disables_the_endpoint_fails_what_waits_and_tells_the_partner_once(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    kept = make_endpoint(endpoint.partner, url="https://other.example/hook")
    events = record(endpoint.partner, *loans(3))
    receiver.answers[URL] = [410]

    run(sender_to(receiver), passes=8)

    assert receiver.events() == ids(events[:1])
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.disabled_reason) == (EndpointStatus.DISABLED, "It answered 410 Gone")
    mine = Delivery.objects.filter(endpoint=endpoint)
    assert {row.status for row in mine} == {DeliveryStatus.FAILED}
    assert the_delivery(events[0], endpoint).attempts == 1
    entry = AuditEntry.objects.get(action="webhook.endpoint_disabled")
    assert (entry.actor, entry.after["reason"]) == ("system", "It answered 410 Gone")
    mail = OutgoingMail.objects.get()
    assert (mail.partner_id, mail.subject) == (endpoint.partner_id, "A webhook endpoint was disabled")
    assert URL in mail.text
    kept.refresh_from_db()
    assert kept.status == EndpointStatus.ENABLED
    assert Delivery.objects.filter(endpoint=kept, status=DeliveryStatus.DELIVERED).count() == 3


@pytest.mark.parametrize(("days", "status"), [(4.99, EndpointStatus.ENABLED), (5.0, EndpointStatus.DISABLED)])
def test_five_days_without_a_success_disable_the_endpoint(days: float, status: str, moment: Moment) -> None:
    since = moment.now - dt.timedelta(days=days)
    yesterday = moment.now - dt.timedelta(days=1)
    endpoint = make_endpoint(failing_since=since, failures_in_a_row=9, last_failed_at=yesterday)
    receiver = Receiver()
    record(endpoint.partner, None)
    receiver.answers[URL] = [500]

    run(sender_to(receiver))

    endpoint.refresh_from_db()
    assert endpoint.status == status
    told = status == EndpointStatus.DISABLED
    assert OutgoingMail.objects.exists() is told
    assert endpoint.disabled_reason == ("Every delivery failed for five days" if told else "")


@pytest.mark.parametrize("idle", [dt.timedelta(days=6), None], ids=["for six days", "since before this was kept"])
def test_days_without_a_try_do_not_count_as_failing(idle: dt.timedelta | None, moment: Moment) -> None:
    since = moment.now - dt.timedelta(days=7)
    last = None if idle is None else moment.now - idle
    endpoint, receiver = make_endpoint(failing_since=since, failures_in_a_row=9, last_failed_at=last), Receiver()
    record(endpoint.partner, None)
    receiver.answers[URL] = [500]

    run(sender_to(receiver))

    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.failing_since) == (EndpointStatus.ENABLED, moment.now)
    assert (endpoint.last_failed_at, endpoint.failures_in_a_row) == (moment.now, 10)
    assert not OutgoingMail.objects.exists()


def test_each_wait_of_the_schedule_goes_on_with_the_same_failure(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    record(endpoint.partner, None)
    receiver.answers[URL] = [500]
    sender, began = sender_to(receiver), moment.now

    for wait in configured.WEBHOOK_RETRY_SCHEDULE:
        moment.pass_by(wait)
        run(sender)

    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.failures_in_a_row) == (began, 10)


def test_a_try_keeps_the_url_that_it_was_sent_to_and_when_it_began(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (event,) = record(endpoint.partner, None)
    began = moment.now
    receiver.on_post = lambda _: moment.pass_by(7)

    run(sender_to(receiver))
    Endpoint.objects.update(url="https://elsewhere.example/")

    attempt = Attempt.objects.get()
    assert (attempt.url, attempt.created_at) == (URL, began)
    assert the_delivery(event, endpoint).finished_at == began + dt.timedelta(seconds=7)


def finished(outcome: str) -> float:
    return metrics.deliveries.labels(outcome=outcome)._value.get()


def test_what_the_end_of_an_endpoint_fails_is_counted_once(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    record(endpoint.partner, *loans(3))
    receiver.answers[URL] = [410]
    before = finished("failed"), finished("delivered")

    run(sender_to(receiver), passes=8)

    assert (finished("failed"), finished("delivered")) == (before[0] + 3, before[1])


def test_a_result_that_is_rolled_back_leaves_no_try_and_is_stored_at_the_next_pass(moment: Moment, monkeypatch) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (event,) = record(endpoint.partner, None)
    receiver.answers[URL] = [410]
    sender = sender_to(receiver)
    disable = disabling.disable

    def die(endpoint: Endpoint, *, reason: str, now: dt.datetime) -> bool:
        disable(endpoint, reason=reason, now=now)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(disabling, "disable", die)
        run(sender)
    endpoint.refresh_from_db()
    assert endpoint.status == EndpointStatus.ENABLED
    assert not Attempt.objects.exists()
    assert not AuditEntry.objects.filter(action="webhook.endpoint_disabled").exists()
    assert the_delivery(event, endpoint).attempts == 0


def test_of_two_senders_one_has_an_endpoint_and_a_killed_ones_endpoint_is_taken_over(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (event,) = record(endpoint.partner, None)
    killed = sender_to(receiver)
    killed.step(lambda work: None)  # it claims, and its post never ends
    other = sender_to(receiver)

    run(other)
    moment.pass_by(claims.CLAIM_SECONDS)
    run(other)
    assert not receiver.posts

    moment.pass_by(0.001)
    run(other)
    assert receiver.events() == ids([event])
    assert the_delivery(event, endpoint).status == DeliveryStatus.DELIVERED


def test_a_claim_is_not_ended_over_a_due_time_that_somebody_wrote_meanwhile(moment: Moment) -> None:
    endpoint = make_endpoint(claimed_by="mine", claimed_until=moment.now + dt.timedelta(seconds=60))
    Endpoint.objects.update(due_at=moment.now, wakes=1)

    assert not claims.end_claim("mine", endpoint)

    endpoint.refresh_from_db()
    assert (endpoint.due_at, endpoint.claimed_by) == (moment.now, "mine")
    assert claims.end_claim("mine", endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.due_at, endpoint.claimed_by) == (None, "")


def test_an_endpoint_that_is_disabled_meanwhile_is_sent_nothing_more(moment: Moment, monkeypatch) -> None:
    monkeypatch.setattr("webhooks.delivery.sender.LOOK_SECONDS", 0.0)
    endpoint, receiver = make_endpoint(), Receiver()
    record(endpoint.partner, *loans(30))
    sender = sender_to(receiver)
    sender.step(lambda work: None)
    sender._board.take()  # one is under way
    Endpoint.objects.update(status=EndpointStatus.DISABLED)

    run(sender)

    assert not receiver.posts


def test_what_is_recorded_while_an_endpoint_is_claimed_is_sent_in_the_same_claim(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (first,) = record(endpoint.partner, *loans(1))
    more: list[Event] = []
    receiver.on_post = lambda _: None if more else more.extend(record(endpoint.partner, *loans(1)))

    run(sender_to(receiver))

    assert receiver.events() == ids([first, *more])
    endpoint.refresh_from_db()
    assert endpoint.due_at is None


def test_a_delivery_whose_event_was_deleted_by_age_fails_and_holds_nothing_up(moment: Moment) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    (loan,) = loans(1)
    lost, kept = record(endpoint.partner, loan, loan)
    fan_out()
    Event.objects.filter(pk=lost.pk).delete()
    failed = finished("failed")

    run(sender_to(receiver))

    assert finished("failed") == failed + 1
    row = the_delivery(lost, endpoint)
    assert (row.status, row.last_error) == (DeliveryStatus.FAILED, reading.NOT_KEPT)
    assert receiver.events() == ids([kept])


def test_a_response_that_no_database_takes_is_left_out_and_the_others_results_are_stored(moment, monkeypatch) -> None:
    endpoint, receiver = make_endpoint(), Receiver()
    events = record(endpoint.partner, *loans(2))
    bad = str(events[0].pk)
    write = outcomes._result

    def result(outcome):
        if str(outcome.job.delivery.event_id) == bad and outcome.response_body:
            raise ValueError("not to be stored")
        return write(outcome)

    monkeypatch.setattr(outcomes, "_result", result)
    run(sender_to(receiver))

    assert {row.status for row in Delivery.objects.all()} == {DeliveryStatus.DELIVERED}
    assert sorted(attempt.response_body for attempt in Attempt.objects.all()) == ["", "the answer"]


def test_no_answer_reaches_a_stranger() -> None:
    mine, other, receiver = (
        make_endpoint(),
        make_endpoint(PartnerFactory.create(), url="https://x.example/"),
        Receiver(),
    )
    record(mine.partner, uuid.uuid4())
    run(sender_to(receiver))
    assert receiver.events(other.url) == []
