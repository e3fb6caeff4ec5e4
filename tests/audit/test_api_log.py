"""One row for every call to the partner API, with nothing secret in it, at the price of one insert."""

import json
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import ApiLog, AppendOnlyError
from partner_platform.core.text import json_text
from tests.factories import partner_with_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

WALLET = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


@pytest.fixture
def http() -> Client:
    return Client(raise_request_exception=False)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_served_call_is_logged_with_every_field_of_the_plan(http: Client) -> None:
    partner, key = partner_with_key()
    body = {"oaidTokenId": 7, "userWallet": WALLET.lower(), "partnerLoanId": "loan-1", "borrowAmount": "5"}
    response = http.post(
        "/partners/whoami",
        json.dumps(body),
        content_type="application/json",
        headers={**bearer(key), "User-Agent": "sdk/1.0", "X-Request-Id": "order-1"},
        REMOTE_ADDR="203.0.113.9",
    )
    assert response.status_code == 201
    assert response.json() == {"received": body}  # reading the body for the log left it for the view
    row = ApiLog.objects.get()
    assert (row.partner_id, row.partner_name) == (partner.partner_id, partner.partner_name)
    assert (row.method, row.endpoint, row.status_code, row.success) == ("POST", "/partners/whoami", 201, True)
    assert (row.ip_address, row.user_agent, row.request_id) == ("203.0.113.9", "sdk/1.0", response["X-Request-Id"])
    assert (row.client_request_id, response["X-Client-Request-Id"]) == ("order-1", "order-1")
    assert (row.oaid_token_id, row.user_wallet, row.loan_id) == ("7", WALLET, "loan-1")
    assert (row.error_code, row.error_message) == ("", "")
    assert row.request_payload == body
    assert 0 <= row.response_time < 5_000


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/partners/whoami", 401, "missing_api_key"),
        ("delete", "/partners/public/oaid/7/credit-line", 405, "method_not_allowed"),
        ("get", "/partners/nowhere", 404, "not_found"),
        ("get", "/partners/broken", 500, "internal_error"),
    ],
)
def test_a_refused_call_is_logged_with_its_code(http: Client, method: str, path: str, status: int, code: str) -> None:
    response = getattr(http, method)(path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    row = ApiLog.objects.get()
    assert (row.status_code, row.success, row.error_code) == (status, False, code)
    assert row.error_message == response.json()["message"]
    assert row.request_id == response["X-Request-Id"]
    assert row.partner_id == ""
    assert "secret" not in row.error_message


def test_a_suspended_partners_call_is_logged_under_its_name(http: Client) -> None:
    partner, key = partner_with_key(status="SUSPENDED")
    assert http.get("/partners/whoami", headers=bearer(key)).status_code == 403
    row = ApiLog.objects.get()
    assert (row.partner_id, row.error_code) == (partner.partner_id, "partner_not_active")
    assert row.error_message == "Partner account is suspended"


def test_a_body_that_is_too_large_is_refused_unread_and_logged(http: Client) -> None:
    _, key = partner_with_key()
    big = json.dumps({"metadata": "x" * 65_536})
    response = http.post("/partners/whoami", big, content_type="application/json", headers=bearer(key))
    assert response.status_code == 413
    row = ApiLog.objects.get()
    assert (row.status_code, row.error_code, row.request_payload) == (413, "payload_too_large", None)


def test_a_public_call_is_logged_with_the_oaid_of_its_path(http: Client) -> None:
    http.get("/partners/public/oaid/7/credit-line?note=a&x=1&x=2")
    row = ApiLog.objects.get()
    assert (row.oaid_token_id, row.status_code, row.partner_id) == ("7", 200, "")
    assert row.request_payload == {"note": "a", "x": ["1", "2"]}


def test_the_loan_of_a_path_is_logged(http: Client) -> None:
    http.get("/partners/loan/loan-9")
    assert ApiLog.objects.get().loan_id == "loan-9"


def test_what_is_not_the_partner_api_is_not_logged(http: Client) -> None:
    http.get("/elsewhere")
    http.get("/console/")
    assert not ApiLog.objects.exists()


def test_no_secret_reaches_the_log(http: Client) -> None:
    _, key = partner_with_key()
    secret = key[-32:]
    body = {"apiKey": key, "note": f"it is {key}", "privateKey": "0x" + "ab" * 32, "metadata": {"password": "hunter2"}}
    headers = {**bearer(key), "User-Agent": f"curl {key}"}
    http.post(f"/partners/whoami?key={key}", json.dumps(body), content_type="application/json", headers=headers)
    http.get(f"/partners/{key}?apiKey={key}&q={key}")
    rows = list(ApiLog.objects.all())
    assert len(rows) == 2
    for row in rows:
        told = json.dumps({name: str(value) for name, value in vars(row).items()})
        assert secret not in told
        assert "hunter2" not in told
        assert "ab" * 8 not in told  # a random id has not so many


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"{",
        b'"\\ud800"',
        b'{"a": "\\u0000\\ud800", "\\u0000": 1}',
        b"[" * 60_000,
        b"9" * 5_000,
        b"NaN",
        b'{"oaidTokenId": {"$gt": ""}, "userWallet": [], "partnerLoanId": {"a": 1}}',
        b"null",
        b'{"oaidTokenId": true}',
    ],
)
def test_hostile_bodies_are_logged_and_answered_as_ever(http: Client, body: bytes) -> None:
    _, key = partner_with_key()
    response = http.post("/partners/whoami", body, content_type="application/json", headers=bearer(key))
    assert response.status_code in (201, 400)
    row = ApiLog.objects.get()
    assert row.status_code == response.status_code
    assert (row.oaid_token_id, row.user_wallet, row.loan_id) == ("", "", "")


def test_hostile_headers_and_paths_are_logged(http: Client) -> None:
    response = http.generic(
        "X" * 30, "/partners/" + "é%00" * 500, HTTP_USER_AGENT="\x00é" * 500, REMOTE_ADDR="nonsense"
    )
    row = ApiLog.objects.get()
    assert row.status_code == response.status_code
    assert (len(row.method), row.ip_address) == (10, None)
    assert len(row.endpoint) == 300


def test_forwarding_headers_count_behind_our_proxies_only(http: Client, settings: Any) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
    http.get("/partners/whoami", headers=forwarded, REMOTE_ADDR="10.0.0.1")
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    http.get("/partners/whoami", headers=forwarded, REMOTE_ADDR="10.0.0.1")
    rows = ApiLog.objects.order_by("timestamp")
    assert sorted(str(row.ip_address) for row in rows) == ["10.0.0.1", "203.0.113.9"]


def test_a_row_costs_one_insert(http: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        http.get("/partners/whoami")
    assert len(queries.captured_queries) == 1
    assert "audit_apilog" in queries.captured_queries[0]["sql"]


def test_a_row_that_cannot_be_written_changes_no_answer(
    http: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(ApiLog, "save", fail)
    _, key = partner_with_key()
    assert http.get("/partners/whoami", headers=bearer(key)).status_code == 200
    assert "could not log GET /partners/whoami" in caplog.text


def test_history_can_be_neither_changed_nor_deleted(http: Client) -> None:
    http.get("/partners/whoami")
    row = ApiLog.objects.get()
    for attempt in (row.save, row.delete, ApiLog.objects.all().delete, lambda: ApiLog.objects.update(success=True)):
        with pytest.raises(AppendOnlyError):
            attempt()
    assert ApiLog.objects.get().success is False


def test_the_calls_of_a_partner_are_found_newest_first(http: Client) -> None:
    partner, key = partner_with_key()
    for path in ("/partners/whoami", "/partners/loan/a"):
        http.get(path, headers=bearer(key))
    http.get("/partners/whoami")
    found = ApiLog.objects.filter(partner_id=partner.partner_id).order_by("-timestamp")
    assert [row.endpoint for row in found] == ["/partners/loan/a", "/partners/whoami"]
    assert ApiLog.objects.filter(success__in=[False]).count() == 1


def test_a_callers_request_id_names_its_calls_and_none_of_ours(http: Client) -> None:
    """One id may come with many calls, of several callers; ours is of one call."""
    _, first = partner_with_key()
    _, second = partner_with_key()
    answers = [
        http.get("/partners/whoami", headers={"X-Request-Id": "support-ticket-1", **headers})
        for headers in (bearer(first), bearer(second), {})
    ]
    rows = list(ApiLog.objects.filter(client_request_id="support-ticket-1"))

    assert [answer["X-Client-Request-Id"] for answer in answers] == ["support-ticket-1"] * 3
    assert {answer["X-Request-Id"] for answer in answers} == {row.request_id for row in rows}
    assert len({row.request_id for row in rows}) == 3
    for answer in answers:
        assert ApiLog.objects.filter(request_id=answer["X-Request-Id"]).count() == 1


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "a" * 65,
        "a b",
        "é",
        "a\x1b[31m",
        "<script>",
        'a"b',
        "pk_xyz_sandbox_" + "a" * 32,
        "x-sk_xyz_live_" + "a" * 32,
    ],
)
def test_a_request_id_that_is_not_sane_or_holds_a_key_is_passed_over(http: Client, offered: str) -> None:
    answer = http.get("/partners/whoami", headers={"X-Request-Id": offered})

    assert "X-Client-Request-Id" not in answer
    assert ApiLog.objects.get().client_request_id == ""


def test_the_body_of_a_call_without_a_valid_key_is_not_decoded(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Any] = []
    monkeypatch.setattr(json_text, "loads", decoded.append)
    http.post("/partners/whoami", b"[" * 60_000, content_type="application/json")
    http.post("/partners/whoami", b"{}", content_type="application/json", headers=bearer("pk_x_sandbox_" + "a" * 32))

    assert decoded == []
    assert {str(row.request_payload) for row in ApiLog.objects.all()} == {
        "{'_unread': '60000 bytes'}",
        "{'_unread': '2 bytes'}",
    }


def test_what_a_stranger_sends_to_a_path_that_is_not_there_is_not_kept(http: Client) -> None:
    http.post("/partners/nowhere", b'{"filler": "' + b"x" * 60_000 + b'"}', content_type="application/json")

    row = ApiLog.objects.get()
    assert (row.status_code, row.request_payload) == (404, {"_unread": "60014 bytes"})
