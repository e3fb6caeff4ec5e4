"""Deliveries by the API: listed, read with what was sent and answered, delivered again. Nothing is sent here."""

import datetime as dt
from typing import Any

import pytest

from audit.models import AuditEntry
from events.kinds import EventType
from events.models import Event, FeedState
from partner_platform.core import clock
from tests.support.signals import heard_by
from tests.webhooks.making import URL, Caller, delivery_of, endpoint_of, numbered_events
from webhooks.models import Attempt, Delivery, Endpoint, FanOut
from webhooks.services import deliveries
from webhooks.services.endpoints import disable_endpoint, send_test_event
from webhooks.signals import deliveries_due

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def call() -> Caller:
    return Caller()


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The endpoints that senders were told of."""
    heard: list[Any] = []

    def hear(**said: Any) -> None:
        heard.append(said["endpoint_id"])

    heard_by(monkeypatch, deliveries_due, hear)
    heard.append(hear)  # a signal keeps no receiver alive
    return heard


def since(**before: int) -> dict[str, str | None]:
    return {"since": clock.isoformat(clock.now() - dt.timedelta(**before))}


def test_deliveries_are_listed_page_by_page_newest_first_by_each_filter(call: Caller) -> None:
    row, other = endpoint_of(call.partner), endpoint_of(call.partner, f"{URL}/2")
    events = numbered_events(call.partner, 3)
    made = [delivery_of(row, event) for event in events]
    failed = delivery_of(other, events[0], status="FAILED", partner_loan_id="loan-2")
    Caller()  # and another partner, with none
    first = call("GET", "webhooks/deliveries?limit=3").json()
    rest = call("GET", f"webhooks/deliveries?limit=3&cursor={first['next']}").json()
    ids = [entry["id"] for entry in (*first["deliveries"], *rest["deliveries"])]
    assert sorted(ids) == sorted(str(found.pk) for found in (*made, failed))
    times = [entry["createdAt"] for entry in (*first["deliveries"], *rest["deliveries"])]
    assert times == sorted(times, reverse=True)
    assert (first["hasMore"], rest["hasMore"], rest["next"]) == (True, False, None)
    for query in (f"endpointId={other.pk}", "status=FAILED", "partnerLoanId=loan-2"):
        found = call("GET", f"webhooks/deliveries?{query}").json()["deliveries"]
        assert [entry["id"] for entry in found] == [str(failed.pk)], query
    assert len(call("GET", "webhooks/deliveries?eventType=loan.repayment").json()["deliveries"]) == 4
    assert call("GET", "webhooks/deliveries?eventType=loan.cured").json()["deliveries"] == []
    assert Caller()("GET", "webhooks/deliveries").json()["deliveries"] == []
    refused = call("GET", f"webhooks/deliveries?status=FAILED&cursor={first['next']}")
    assert list(refused.json()["details"]) == ["cursor"]


def test_a_delivery_shows_each_request_as_it_was_sent_and_the_response(call: Caller) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    made = delivery_of(row, event, attempts=2, last_status_code=503, last_error="The receiver answered 503")
    Attempt.objects.create(delivery=made, number=1, url=f"{URL}/old", error="Timed out", duration_ms=15_000)
    Attempt.objects.create(
        delivery=made,
        number=2,
        url=URL,
        request_headers={"webhook-id": str(event.pk)},
        status_code=503,
        response_headers={"content-type": "text/plain"},
        response_body="later",
        duration_ms=12,
        created_at=clock.now() + HOUR,
    )
    shown = call("GET", f"webhooks/deliveries/{made.pk}").json()
    first, second = shown["tries"]
    assert (shown["status"], shown["attempts"], shown["lastStatusCode"]) == ("PENDING", 2, 503)
    assert first["request"] == {"url": f"{URL}/old", "headers": {}, "body": event.body}
    assert (first["response"], first["error"]) == (None, "Timed out")
    assert second["request"] == {"url": URL, "headers": {"webhook-id": str(event.pk)}, "body": event.body}
    assert second["response"] == {"statusCode": 503, "headers": {"content-type": "text/plain"}, "body": "later"}
    Event.objects.all().delete()
    assert call("GET", f"webhooks/deliveries/{made.pk}").json()["tries"][0]["request"]["body"] is None
    refused = Caller()("GET", f"webhooks/deliveries/{made.pk}")
    assert (refused.status_code, refused.json()["code"]) == (404, "delivery_not_found")
    assert call("GET", "webhooks/deliveries/nobodys").json()["code"] == "delivery_not_found"


def test_a_pending_delivery_is_tried_now_and_one_that_ended_is_made_anew(call: Caller, woken: list[Any]) -> None:
    row, (event, other) = endpoint_of(call.partner), numbered_events(call.partner, 2)
    waiting = delivery_of(row, event, due_at=clock.now() + HOUR, attempts=4)
    done = delivery_of(row, other, status="DELIVERED")
    retried = call("POST", f"webhooks/deliveries/{waiting.pk}/retry")
    waiting.refresh_from_db()
    assert (retried.status_code, retried.json()["id"], retried.json()["attempts"]) == (202, str(waiting.pk), 4)
    assert waiting.due_at <= clock.now()
    anew = call("POST", f"webhooks/deliveries/{done.pk}/retry").json()
    assert (anew["resend"], anew["status"], anew["attempts"]) == (1, "PENDING", 0)
    assert anew["eventId"] == str(other.pk) != anew["id"]
    done.refresh_from_db()
    assert done.status == "DELIVERED"
    row.refresh_from_db()
    assert (row.wakes, row.due_at is not None, woken[1:]) == (2, True, [row.pk, row.pk])
    call("POST", f"webhooks/deliveries/{done.pk}/retry")  # the one made anew is pending
    assert Delivery.objects.count() == 3
    entry = AuditEntry.objects.filter(action="webhook.delivery_retried").order_by("timestamp").first()
    assert entry.after == {"eventId": str(event.pk), "eventType": "loan.repayment"}


def test_with_a_key_a_retry_is_made_once(call: Caller) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    done = delivery_of(row, event, status="DELIVERED")
    first = call("POST", f"webhooks/deliveries/{done.pk}/retry", **{"Idempotency-Key": "one"}).json()
    Delivery.objects.filter(pk=first["id"]).update(status="DELIVERED")
    assert call("POST", f"webhooks/deliveries/{done.pk}/retry", **{"Idempotency-Key": "one"}).json() == first
    assert Delivery.objects.count() == 2


def test_what_cannot_be_delivered_is_not_retried(call: Caller, woken: list[Any]) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    done = delivery_of(row, event, status="FAILED")
    Event.objects.all().delete()
    expired = call("POST", f"webhooks/deliveries/{done.pk}/retry")
    assert (expired.status_code, expired.json()["code"]) == (409, "event_expired")
    disable_endpoint(endpoint_id=row.pk, actor="test", reason="It answered 410")
    assert call("POST", f"webhooks/deliveries/{done.pk}/retry").json()["code"] == "endpoint_disabled"
    assert call("POST", f"webhooks/{row.pk}/resend", since(hours=1)).json()["code"] == "endpoint_disabled"
    assert Caller()("POST", f"webhooks/deliveries/{done.pk}/retry").json()["code"] == "delivery_not_found"
    assert (Delivery.objects.count(), woken[1:]) == (1, [])


def test_events_since_a_moment_are_scheduled_once_more_whatever_became_of_them(call: Caller, woken: list[Any]) -> None:
    row = endpoint_of(call.partner, event_types=["loan.repayment"])
    before = numbered_events(call.partner, 1)[0]
    Event.objects.filter(pk=before.pk).update(created_at=clock.now() - 2 * HOUR)
    delivered, pending, missed = numbered_events(call.partner, 3)
    numbered_events(call.partner, 1, EventType.LOAN_CURED)
    numbered_events(Caller().partner, 1)
    delivery_of(row, delivered, status="DELIVERED")
    waiting = delivery_of(row, pending, due_at=clock.now() + HOUR)
    answer = call("POST", f"webhooks/{row.pk}/resend", since(hours=1))
    assert (answer.status_code, answer.json()) == (202, {"scheduled": 3, "next": None})
    rows = Delivery.objects.order_by("number", "resend").values_list("event_id", "resend", "status")
    assert list(rows) == [
        (delivered.pk, 0, "DELIVERED"),
        (delivered.pk, 1, "PENDING"),
        (pending.pk, 0, "PENDING"),
        (missed.pk, 1, "PENDING"),  # 0 is the fan-out's
    ]
    waiting.refresh_from_db()
    assert waiting.due_at <= clock.now()
    assert woken[1:] == [row.pk]
    call("POST", f"webhooks/{row.pk}/resend", since(hours=1))
    assert Delivery.objects.count() == 4  # all of them are pending
    entry = AuditEntry.objects.filter(action="webhook.events_resent").order_by("timestamp").first()
    assert entry.after["scheduled"] == 3


def test_an_event_that_the_fan_out_has_not_reached_is_left_to_it(call: Caller) -> None:
    row = endpoint_of(call.partner)
    numbered_events(call.partner, 2)
    FanOut.objects.update(until=1)
    assert call("POST", f"webhooks/{row.pk}/resend", since(hours=1)).json()["scheduled"] == 1


# Minutes of the events, by their number.
TIMES = {
    "in order": (0, 1, 2, 3, 4),
    "of one millisecond": (0, 0, 0, 0, 0),
    "committed in another order": (4, 3, 2, 1, 0),
}


@pytest.mark.parametrize("times", TIMES)
def test_a_call_takes_so_many_events_and_says_from_where_the_next_goes_on(
    call: Caller, times: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(deliveries, "MAX_RESENT", 2)
    row, events = endpoint_of(call.partner), numbered_events(call.partner, 5)
    for event, minutes in zip(events, TIMES[times], strict=True):
        Event.objects.filter(pk=event.pk).update(created_at=clock.now() - HOUR + minutes * dt.timedelta(minutes=1))
    asked: Any = since(hours=2)
    scheduled = []
    for _ in range(3):
        answer = call("POST", f"webhooks/{row.pk}/resend", asked).json()
        scheduled.append(answer["scheduled"])
        asked = {"after": answer["next"]}
    assert (scheduled, answer["next"]) == ([2, 2, 1], None)
    assert {found.event_id for found in Delivery.objects.all()} == {event.pk for event in events}
    entry = AuditEntry.objects.filter(action="webhook.events_resent").order_by("-timestamp").first()
    assert entry.after == {"since": None, "scheduled": 1}


def test_where_to_go_on_is_a_cursor_of_the_feed_of_this_partner(call: Caller) -> None:
    row, events = endpoint_of(call.partner), numbered_events(call.partner, 3)
    page = call("GET", "events?limit=1").json()
    assert call("POST", f"webhooks/{row.pk}/resend", {"after": page["next"]}).json() == {"scheduled": 2, "next": None}
    assert {found.event_id for found in Delivery.objects.all()} == {event.pk for event in events[1:]}
    stranger = Caller()
    strangers = endpoint_of(stranger.partner)
    for asked in ({"after": page["next"]}, {"after": "made up"}, {"after": 7}):
        refused = stranger("POST", f"webhooks/{strangers.pk}/resend", asked)
        assert (refused.status_code, list(refused.json()["details"])) == (400, ["after"])
    for asked in ({}, {**since(hours=1), "after": page["next"]}):
        refused = call("POST", f"webhooks/{row.pk}/resend", asked)
        assert (refused.status_code, list(refused.json()["details"])) == (400, ["since"])
    FeedState.objects.update(pruned=2)
    expired = call("POST", f"webhooks/{row.pk}/resend", {"after": page["next"]})
    assert (expired.status_code, expired.json()["code"]) == (410, "cursor_expired")
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize("types", [["*"], ["webhook.test", "loan.repayment"]])
def test_no_test_of_an_endpoint_is_sent_again(call: Caller, types: list[str]) -> None:
    row, other = endpoint_of(call.partner, event_types=types), endpoint_of(call.partner, f"{URL}/2")
    send_test_event(partner=call.partner, endpoint_id=other.pk)
    send_test_event(partner=call.partner, endpoint_id=row.pk)
    (event,) = numbered_events(call.partner, 1)
    assert call("POST", f"webhooks/{row.pk}/resend", since(hours=1)).json()["scheduled"] == 1
    assert Delivery.objects.get().event_id == event.pk


@pytest.mark.parametrize("moment", ["yesterday", "2026-02-30T00:00:00Z", "2026-01-05", 7, "2020-01-05T00:00:00Z", None])
def test_a_moment_is_one_of_the_last_ninety_days(call: Caller, moment: Any) -> None:
    row = endpoint_of(call.partner)
    refused = call("POST", f"webhooks/{row.pk}/resend", {"since": moment})
    assert (refused.status_code, list(refused.json()["details"])) == (400, ["since"])
    assert call("POST", f"webhooks/{row.pk}/resend", since(days=91)).status_code == 400
    assert call("POST", f"webhooks/{row.pk}/resend", since(days=-1)).status_code == 400
    assert call("POST", f"webhooks/{row.pk}/resend", since(days=89)).json() == {"scheduled": 0, "next": None}
    assert Endpoint.objects.get().wakes == 0
