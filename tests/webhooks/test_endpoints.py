"""A partner's endpoints by the API: made, changed, disabled, deleted, with a secret that is shown once."""

import base64
import datetime as dt
from typing import Any

import pytest

from audit.models import AuditEntry
from events.kinds import EventType
from events.models import Event
from partner_platform.core import clock
from partner_platform.core.database.transactions import atomic
from partner_platform.core.errors import Conflict
from partner_platform.core.secrets import crypto
from partners.models import IdempotencyKey, Partner
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory
from tests.webhooks.making import URL, Caller, delivery_of, endpoint_of, numbered_events
from webhooks import metrics
from webhooks.models import DeliveryStatus, Endpoint
from webhooks.secrets import live_secrets
from webhooks.services import endpoints
from webhooks.services.pending import fail_pending

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def call() -> Caller:
    return Caller()


def entries() -> list[Any]:
    return list(AuditEntry.objects.filter(action__startswith="webhook.").order_by("timestamp"))


def test_an_endpoint_is_made_with_a_secret_that_no_other_answer_has(call: Caller) -> None:
    made = call("POST", "webhooks", {"url": URL, "eventTypes": ["loan.repaid", "loan.borrowed"], "description": "Ours"})
    secret = made.json()["secret"]
    shown = {name: value for name, value in made.json().items() if name != "secret"}

    row = Endpoint.objects.get()
    assert made.status_code == 201
    assert (shown["id"], shown["url"], shown["description"]) == (str(row.pk), URL, "Ours")
    assert (shown["status"], shown["eventTypes"]) == ("ENABLED", ["loan.borrowed", "loan.repaid"])
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert live_secrets(row) == [secret]
    assert row.secret != secret
    assert call("GET", f"webhooks/{row.pk}").json() == shown
    assert call("GET", "webhooks").json() == {"webhooks": [shown]}
    (entry,) = entries()
    assert (entry.actor, entry.action) == (f"partner:{call.partner.partner_id}", "webhook.endpoint_created")
    assert (entry.target, entry.before) == (f"webhook:{row.pk}", None)
    assert entry.after == {
        "url": URL,
        "eventTypes": ["loan.borrowed", "loan.repaid"],
        "description": "Ours",
        "status": "ENABLED",
    }


def test_with_a_key_the_same_call_shows_the_secret_again_and_it_is_kept_encrypted(call: Caller) -> None:
    first, again = (call("POST", "webhooks", {"url": URL}, **{"Idempotency-Key": "one"}) for _ in range(2))

    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert Endpoint.objects.count() == 1
    kept = IdempotencyKey.objects.get()
    assert first.json()["secret"] in crypto.decrypt(kept.sealed_answer)
    assert (kept.answer, first.json()["secret"] in str(vars(kept))) == ("", False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "http://lender.example/hooks"}, "url"),
        ({"url": "https://10.0.0.7/hooks"}, "url"),
        ({"url": "https://user:word@lender.example"}, "url"),
        ({"url": URL + "x" * 500}, "url"),
        ({"url": 7}, "url"),
        ({"url": URL, "eventTypes": []}, "eventTypes"),
        ({"url": URL, "eventTypes": ["loan.lost"]}, "eventTypes"),
        ({"url": URL, "eventTypes": "*"}, "eventTypes"),
        ({"url": URL, "description": "x" * 201}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
def test_a_bad_field_is_refused_by_its_name_and_nothing_is_made(call: Caller, body: Any, field: str) -> None:
    refused = call("POST", "webhooks", body)
    assert (refused.status_code, list(refused.json()["details"])) == (400, [field])
    assert "whsec_mine" not in refused.content.decode()
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [("", "blank"), (URL + "x" * 500, "max_length"), (None, "null"), ("http://lender.example", "invalid")],
)
def test_what_is_wrong_with_a_url_has_the_code_that_other_texts_have(call: Caller, url: Any, code: str) -> None:
    (problem,) = call("POST", "webhooks", {"url": url}).json()["errors"]
    assert (problem["field"], problem["code"]) == ("url", code)


def test_a_url_is_taken_once_so_that_a_call_sent_again_makes_no_second_endpoint(call: Caller) -> None:
    first = call("POST", "webhooks", {"url": URL}).json()["id"]
    again = call("POST", "webhooks", {"url": URL})
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_endpoint")
    assert again.json()["details"] == {"endpointId": first}
    other = call("POST", "webhooks", {"url": f"{URL}/2"}).json()["id"]
    assert call("PATCH", f"webhooks/{other}", {"url": URL}).json()["code"] == "duplicate_endpoint"
    assert call("DELETE", f"webhooks/{first}").status_code == 204
    assert call("PATCH", f"webhooks/{other}", {"url": URL}).json()["url"] == URL
    assert Caller()("POST", "webhooks", {"url": URL}).status_code == 201  # another partner's


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://lender.example/dd", "HTTPS://Lender.Example/dd"),
        ("https://lender.example/dd", "https://lender.example:443/dd"),
        ("https://lender.example/dd?", "https://lender.example/dd"),
        ("https://lender.example", "https://lender.example/"),
    ],
)
def test_a_url_written_otherwise_is_the_same_one_and_is_kept_as_it_was_given(
    call: Caller, one: str, other: str
) -> None:
    first = call("POST", "webhooks", {"url": one}).json()
    again = call("POST", "webhooks", {"url": other})
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_endpoint")
    assert call("PATCH", f"webhooks/{first['id']}", {"url": other}).json()["url"] == other  # its own
    assert Endpoint.objects.get().url == other


@pytest.mark.parametrize("other", ["https://lender.example/DD", "https://lender.example:8443/dd", f"{URL}?a=1"])
def test_a_url_of_another_path_port_or_query_is_another_one(call: Caller, other: str) -> None:
    for url in ("https://lender.example/dd", URL, other):
        assert call("POST", "webhooks", {"url": url}).status_code == 201


def test_an_unknown_event_type_is_refused_with_those_that_there_are(call: Caller) -> None:
    refused = call("POST", "webhooks", {"url": URL, "eventTypes": ["loan.lost"]}).json()
    valid = ", ".join(["*", *EventType.values])
    assert refused["details"] == {"eventTypes": [f"Unknown event types: loan.lost. Must be of: {valid}."]}


@pytest.mark.parametrize("act", ["disabled", "deleted"])
def test_what_is_failed_with_its_endpoint_is_counted_when_that_is_committed(call: Caller, act: str) -> None:
    row, events = endpoint_of(call.partner), numbered_events(call.partner, 2)
    for event in events:
        delivery_of(row, event)
    failed = metrics.deliveries.labels(outcome="failed")._value
    before = failed.get()
    with pytest.raises(RuntimeError), atomic():
        Endpoint.objects.filter(pk=row.pk).update(status="DISABLED")
        fail_pending(row.pk)
        raise RuntimeError
    assert failed.get() == before
    if act == "disabled":
        call("PATCH", f"webhooks/{row.pk}", {"status": "DISABLED"})
    else:
        call("DELETE", f"webhooks/{row.pk}")
    assert failed.get() == before + 2


def test_a_pause_is_shown_while_it_lasts(call: Caller) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    waiting = delivery_of(row, event)
    assert call("GET", f"webhooks/{row.pk}").json()["resumeAt"] is None
    later = clock.now() + HOUR
    Endpoint.objects.update(resume_at=later)
    assert call("GET", f"webhooks/{row.pk}").json()["resumeAt"] == clock.isoformat(later)
    (listed,) = call("GET", "webhooks/deliveries").json()["deliveries"]
    shown = call("GET", f"webhooks/deliveries/{waiting.pk}").json()
    assert listed["nextAttemptAt"] == shown["nextAttemptAt"] == clock.isoformat(later)
    Endpoint.objects.update(resume_at=clock.now() - HOUR)
    assert call("GET", f"webhooks/{row.pk}").json()["resumeAt"] is None
    waiting.refresh_from_db()
    again = call("GET", f"webhooks/deliveries/{waiting.pk}").json()
    assert again["nextAttemptAt"] == clock.isoformat(waiting.due_at)


def test_a_partner_has_ten_endpoints_and_of_two_at_once_one_is_the_tenth(call: Caller) -> None:
    for number in range(9):
        endpoint_of(call.partner, f"{URL}/{number}")

    def tenth(number: int) -> str:
        try:
            return endpoint_of(call.partner, f"{URL}/of-thread-{number}").status
        except Conflict as error:
            return error.code

    assert sorted(at_once(2, tenth)) == ["ENABLED", "too_many_endpoints"]
    assert call("POST", "webhooks", {"url": f"{URL}/more"}).json()["details"] == {"maximum": 10}
    assert Endpoint.objects.filter(partner=call.partner).count() == 10


def test_what_a_change_names_is_changed_and_told_with_what_was_before(call: Caller) -> None:
    row = endpoint_of(call.partner, description="Old")
    Endpoint.objects.filter(pk=row.pk).update(failures_in_a_row=7, failing_since=clock.now(), resume_at=clock.now())
    changed = call("PATCH", f"webhooks/{row.pk}", {"url": f"{URL}/2", "eventTypes": ["*", "loan.cured"]})
    assert (changed.json()["url"], changed.json()["eventTypes"]) == (f"{URL}/2", ["*"])
    assert (changed.json()["description"], changed.json()["failingSince"]) == ("Old", None)
    row.refresh_from_db()
    assert (row.failures_in_a_row, row.resume_at, row.status) == (0, None, "ENABLED")
    assert (entries()[-1].action, entries()[-1].before) == ("webhook.endpoint_updated", {"url": URL})
    assert entries()[-1].after == {"url": f"{URL}/2"}
    assert call("PATCH", f"webhooks/{row.pk}", {"url": f"{URL}/2"}).status_code == 200
    assert len(entries()) == 2  # nothing changed


@pytest.mark.parametrize("status", ["enabled", "DELETED", {}, [], None, True])
def test_a_status_is_one_of_two_words(call: Caller, status: Any) -> None:
    row = endpoint_of(call.partner)
    refused = call("PATCH", f"webhooks/{row.pk}", {"status": status})
    assert (refused.status_code, list(refused.json()["details"])) == (400, ["status"])
    assert Endpoint.objects.get().status == "ENABLED"


def test_a_disabled_endpoint_keeps_no_backlog_and_goes_on_with_new_events(call: Caller) -> None:
    row, (event, late) = endpoint_of(call.partner), numbered_events(call.partner, 2)
    waiting, done = delivery_of(row, event), delivery_of(row, event, resend=1, status=DeliveryStatus.DELIVERED)
    assert call("PATCH", f"webhooks/{row.pk}", {"status": "DISABLED"}).json()["disabledReason"] == "You disabled it"
    waiting.refresh_from_db()
    done.refresh_from_db()
    assert (waiting.status, waiting.last_error) == ("FAILED", "The endpoint was disabled")
    assert waiting.finished_at is not None
    assert done.status == "DELIVERED"
    stray = delivery_of(row, late)  # made by a fan-out that read the endpoint before
    enabled = call("PATCH", f"webhooks/{row.pk}", {"status": "ENABLED"}).json()
    stray.refresh_from_db()
    assert (enabled["status"], enabled["disabledReason"], stray.status) == ("ENABLED", None, "FAILED")


def test_the_platform_disables_an_endpoint_once_with_its_reason(call: Caller) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    waiting = delivery_of(row, event)
    answers = [
        endpoints.disable_endpoint(endpoint_id=row.pk, actor="system:webhooks", reason="It answered 410") for _ in "12"
    ]
    assert answers == [True, False]
    waiting.refresh_from_db()
    assert (waiting.status, waiting.last_error) == ("FAILED", "It answered 410")
    assert call("GET", f"webhooks/{row.pk}").json()["disabledReason"] == "It answered 410"
    (entry,) = [entry for entry in entries() if entry.action == "webhook.endpoint_disabled"]
    assert entry.after == {"status": "DISABLED", "reason": "It answered 410"}


def test_a_deleted_endpoint_is_gone_for_its_partner_but_for_its_deliveries(call: Caller) -> None:
    row, (event,) = endpoint_of(call.partner), numbered_events(call.partner, 1)
    waiting = delivery_of(row, event)
    deleted = call("DELETE", f"webhooks/{row.pk}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    row.refresh_from_db()
    assert (row.secret, row.previous_secret, live_secrets(row)) == ("", "", [])
    assert (row.status, row.deleted_at is not None, row.due_at) == ("DISABLED", True, None)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")):
        assert call(method, f"webhooks/{row.pk}{path}").json()["code"] == "endpoint_not_found"
    assert call("GET", "webhooks").json() == {"webhooks": []}
    kept = call("GET", f"webhooks/deliveries/{waiting.pk}").json()
    assert (kept["status"], kept["lastError"]) == ("FAILED", "The endpoint was deleted")
    assert call("POST", f"webhooks/deliveries/{waiting.pk}/retry").json()["code"] == "endpoint_not_found"
    assert entries()[-1].action == "webhook.endpoint_deleted"


def test_after_a_rotation_both_secrets_sign_for_24_hours_and_no_third(call: Caller, monkeypatch: Any) -> None:
    first = call("POST", "webhooks", {"url": URL}).json()
    second = call("POST", f"webhooks/{first['id']}/rotate-secret").json()
    row = Endpoint.objects.get()
    assert live_secrets(row) == [second["secret"], first["secret"]]
    assert second["previousSecretValidUntil"] == clock.isoformat(row.previous_secret_until)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 23 * HOUR)
    assert live_secrets(row) == [second["secret"], first["secret"]]
    third = call("POST", f"webhooks/{first['id']}/rotate-secret").json()["secret"]
    assert live_secrets(Endpoint.objects.get()) == [third, second["secret"]]
    monkeypatch.setattr(clock, "now", lambda: now + 48 * HOUR)
    assert live_secrets(Endpoint.objects.get()) == [third]
    assert [entry.action for entry in entries()][-2:] == ["webhook.secret_rotated"] * 2
    told = str([(entry.before, entry.after) for entry in entries()])
    assert "whsec_" not in told


def test_a_test_event_names_its_endpoint_and_needs_one_that_is_enabled(call: Caller) -> None:
    row = endpoint_of(call.partner, event_types=["loan.repaid"])
    sent = call("POST", f"webhooks/{row.pk}/test")
    event = Event.objects.get()
    assert (sent.status_code, sent.json()) == (202, {"eventId": str(event.pk)})
    assert (event.type, event.partner_key) == ("webhook.test", call.partner.pk)
    assert f'"endpointId":"{row.pk}"' in event.body
    endpoints.disable_endpoint(endpoint_id=row.pk, actor="test", reason="It answered 410")
    refused = call("POST", f"webhooks/{row.pk}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    assert refused.json()["details"] == {"reason": "It answered 410"}
    assert Event.objects.count() == 1


def test_another_partners_endpoint_is_not_found_and_stays_as_it_is(call: Caller) -> None:
    row, stranger = endpoint_of(call.partner), Caller()
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"status": "DISABLED"}),
        ("DELETE", "", None),
        ("POST", "/test", None),
        ("POST", "/rotate-secret", None),
        ("POST", "/resend", {"since": clock.isoformat(clock.now() - HOUR)}),
    ):
        refused = stranger(method, f"webhooks/{row.pk}{path}", body)
        assert (refused.status_code, refused.json()["code"]) == (404, "endpoint_not_found"), (method, path)
    assert Endpoint.objects.values().get() == {**Endpoint.objects.values().get(pk=row.pk)}
    assert (stranger("GET", "webhooks").json(), len(entries())) == ({"webhooks": []}, 1)


def test_who_may_only_read_writes_no_endpoint() -> None:
    call = Caller(scopes=["read", "borrow", "repay", "manage"])
    row = endpoint_of(call.partner)
    assert call("GET", f"webhooks/{row.pk}").status_code == 200
    for method, path in (("POST", "webhooks"), ("PATCH", f"webhooks/{row.pk}"), ("POST", f"webhooks/{row.pk}/test")):
        refused = call(method, path, {})
        assert (refused.status_code, refused.json()["details"]) == (403, {"missingScopes": ["webhooks"]})


def test_a_change_that_is_rolled_back_leaves_neither_endpoint_nor_entry(monkeypatch: Any) -> None:
    partner: Partner = PartnerFactory.create()

    def fail(**_: object) -> None:
        raise RuntimeError("the audit trail is full")

    monkeypatch.setattr(endpoints, "record_change", fail)
    with pytest.raises(RuntimeError):
        endpoint_of(partner)
    assert not Endpoint.objects.exists()
