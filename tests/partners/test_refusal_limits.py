"""Who is refused again and again is turned away unread and counted; a key that works passes all the same."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from audit.calls import refused_calls
from audit.models import ApiLog, RefusedCalls
from partner_platform.core import clock
from partners import keys
from partners.access import rate_limit
from partners.models import ApiKey, Partner, PartnerStatus
from partners.refusals import counting, live_keys, refusal_limits
from tests.factories import ApiKeyFactory, PartnerFactory, partner_with_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

LIMIT = 5
CLIENT = Client(raise_request_exception=False)  # one: each loads the middleware anew
HOSTILE = "203.0.113.9"
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
NO_KEY = "pk_xyz_sandbox_" + "a" * 32


@pytest.fixture(autouse=True)
def the_limit(settings: Any) -> None:
    get_redis_connection("default").flushdb()
    settings.RATE_LIMIT_REFUSED = LIMIT
    settings.REFUSED_CALL_ROWS = 600


@pytest.fixture
def redis_down(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}


def call(path: str = "/partners/whoami", key: str = NO_KEY, address: str = HOSTILE, **extra: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return CLIENT.get(path, headers=headers, REMOTE_ADDR=address, **extra)


def refuse(times: int, **options: Any) -> list[int]:
    return [call(**options).status_code for _ in range(times)]


def assert_turned_away(response: Any) -> None:
    body = response.json()
    assert (response.status_code, body["code"], body["retryable"]) == (429, "address_rate_limited", True)
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert response.headers["X-Request-Id"] == body["requestId"]


def post_nested() -> Any:
    body = {f"a{number}": "x" * 150 for number in range(48)}
    return CLIENT.post("/partners/nothing", body, content_type="application/json", REMOTE_ADDR=HOSTILE)


REFUSED: dict[str, Callable[[], Any]] = {
    "a bad key": call,
    "no key": lambda: call(key=""),
    "an unknown path": lambda: call("/partners/nothing", key=""),
    "8 KiB of JSON to an unknown path": post_nested,
    "a path outside the API": lambda: call("/wp-admin.php", key=""),
    "a method that is not allowed": lambda: CLIENT.delete("/elsewhere", REMOTE_ADDR=HOSTILE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_after_its_refusals_of_a_minute_an_address_is_turned_away_without_a_query_or_a_row(name: str) -> None:
    refused = [REFUSED[name]() for _ in range(LIMIT)]
    assert {response.status_code for response in refused} <= {401, 404, 405}
    rows = ApiLog.objects.count()
    assert rows == (LIMIT if refused[0].wsgi_request.path.startswith("/partners/") else 0)
    assert_turned_away(REFUSED[name]())  # this one was still looked at
    asked = get_redis_connection("default").info("stats")["total_commands_processed"]

    with CaptureQueriesContext(connection) as queries:
        answers = [REFUSED[name]() for _ in range(40)]

    for answer in answers:
        assert_turned_away(answer)
    assert [query["sql"] for query in queries.captured_queries if "audit_" in query["sql"]] == []
    # With a key that has the right form the set of working keys is read, once in that second.
    assert len(queries.captured_queries) <= (4 if name == "a bad key" else 0)
    # The counts go to Redis once a second, whatever the number of calls (one command is this question's own).
    assert get_redis_connection("default").info("stats")["total_commands_processed"] - asked < 20
    assert ApiLog.objects.count() == rows


def test_the_limit_is_60_where_nobody_set_another(settings: Any) -> None:
    settings.RATE_LIMIT_REFUSED = 60
    assert refuse(60) == [401] * 60
    assert_turned_away(call())


def test_made_up_keys_cost_one_reading_of_the_keys_a_second_and_no_query_each(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(LIMIT + 1)
    call()
    with CaptureQueriesContext(connection) as queries:
        for number in range(30):
            monkeypatch.setattr(live_keys.live_keys, "_next_reading", float("inf"))  # within that second
            assert_turned_away(call(key=f"pk_xyz_sandbox_{number:032d}"))
    assert queries.captured_queries == []


def test_a_key_that_works_passes_from_that_address_has_its_row_and_costs_no_query_more() -> None:
    partner, key = partner_with_key()
    assert call(key=key, address="198.51.100.1").status_code == 200  # notes the key's use
    refuse(LIMIT + 5)
    assert call(key=key).status_code == 200  # the set of working keys is read

    with CaptureQueriesContext(connection) as queries:
        answers = [call(key=key).status_code for _ in range(10)]

    assert answers == [200] * 10
    tables = [
        query["sql"] for query in queries.captured_queries if "partners_partner" not in query["sql"].split("FROM")[0]
    ]
    assert sum("audit_apilog" in sql for sql in tables) == 10
    assert ApiLog.objects.filter(partner_id=partner.partner_id, ip_address=HOSTILE).count() == 11


def test_what_a_partner_is_refused_does_not_count_and_always_has_its_row() -> None:
    _, key = partner_with_key(tier="ENTERPRISE")
    bad = [
        Client()
        .post(
            "/partners/whoami",
            data="not json",
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
            REMOTE_ADDR=HOSTILE,
        )
        .status_code
        for _ in range(LIMIT + 10)
    ]
    assert bad == [400] * (LIMIT + 10)
    assert ApiLog.objects.count() == LIMIT + 10
    assert call().status_code == 401  # nobody else at that address pays for it


def test_a_partner_that_asks_for_unknown_paths_from_a_limited_address_is_told_so_and_logged() -> None:
    _, key = partner_with_key()
    refuse(LIMIT + 5)
    before = ApiLog.objects.count()
    assert refuse(10, path="/partners/nothing", key=key) == [404] * 10
    assert ApiLog.objects.count() == before + 10


@pytest.mark.parametrize("state", ["revoked", "expired", "suspended"])
def test_a_key_that_works_no_longer_is_refused_as_any_other(state: str) -> None:
    past = clock.now() - dt.timedelta(hours=1)
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED if state == "suspended" else PartnerStatus.ACTIVE)
    key = keys.generate("test", "sandbox").key
    dates = {"revoked": {"revoked_at": past}, "expired": {"expires_at": past}, "suspended": {}}[state]
    ApiKeyFactory.create(partner=partner, key=key, **dates)
    refuse(LIMIT, key=key)
    assert_turned_away(call(key=key))
    rows = ApiLog.objects.count()
    assert_turned_away(call(key=key))
    assert ApiLog.objects.count() == rows == LIMIT


def test_a_revoked_key_stops_passing_once_the_keys_are_read_anew() -> None:
    _, key = partner_with_key()
    refuse(LIMIT + 1)
    assert call(key=key).status_code == 200
    ApiKey.objects.update(revoked_at=clock.now())
    live_keys.live_keys.forget()
    assert_turned_away(call(key=key))


def test_a_stolen_key_without_its_signature_is_told_the_truth_and_fills_no_log() -> None:
    partner, key = partner_with_key()
    Partner.objects.filter(pk=partner.pk).update(ip_allow_list=["198.51.100.0/24"])
    answers = [call(key=key) for _ in range(LIMIT + 10)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "ip_not_allowed")}
    assert ApiLog.objects.count() == LIMIT
    assert call().status_code == 401  # and the address is not turned away for it


def test_ipv6_is_counted_by_its_64_and_addresses_by_themselves() -> None:
    for number in range(LIMIT):
        call(address=f"2001:db8:1:2::{number:x}")
    assert_turned_away(call(address="2001:db8:1:2:ffff::1"))
    assert call(address="2001:db8:1:3::1").status_code == 401
    assert call(address="203.0.113.10").status_code == 401


def test_a_forwarding_header_opens_no_new_budget_and_behind_a_proxy_clients_are_apart(settings: Any) -> None:
    for number in range(LIMIT):
        call(HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert_turned_away(call(HTTP_X_FORWARDED_FOR="198.51.100.200"))
    settings.TRUSTED_PROXIES = [HOSTILE]
    assert call(HTTP_X_FORWARDED_FOR="198.51.100.200").status_code == 401


def test_public_reads_of_an_address_over_its_limit_are_turned_away_too_and_429s_count(settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "PUBLIC": 3}
    assert refuse(3, path="/elsewhere", key="") == [200] * 3
    assert {call("/elsewhere", key="").json()["code"] for _ in range(LIMIT)} == {"rate_limited"}
    assert_turned_away(call("/elsewhere", key=""))


def test_the_console_stays_reachable_from_that_address() -> None:
    refuse(LIMIT + 1)
    assert call("/console/login/", key="").status_code == 200


def test_an_answer_that_races_past_the_door_is_not_logged_either() -> None:
    """Another process let the address in, or the same at the same moment: the count in Redis decides, exactly."""
    refuse(LIMIT)
    counting.refusals.forget()  # as a process that has not heard of it
    assert_turned_away(call())
    assert ApiLog.objects.count() == LIMIT


@pytest.mark.usefixtures("redis_down")
def test_without_redis_the_limit_holds_by_process_and_keys_pass() -> None:
    _, key = partner_with_key()
    assert refuse(LIMIT) == [401] * LIMIT
    assert_turned_away(call())
    assert call(address="203.0.113.10").status_code == 401
    assert call(key=key).status_code == 200


@pytest.mark.usefixtures("redis_down")
def test_a_redis_that_fails_is_asked_again_only_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    take = rate_limit.count_call

    def note(**options: Any) -> Any:
        asked.append(options["subject"])
        return take(**options)

    monkeypatch.setattr(rate_limit, "count_call", note)
    refuse(20)
    assert asked == [f"refused:{HOSTILE}"]


def test_however_many_addresses_come_so_many_refusals_a_minute_are_looked_at(settings: Any) -> None:
    settings.REFUSED_CALL_ROWS = 10
    _, key = partner_with_key()
    call(key=key)
    assert [call(address=f"198.51.100.{number}").status_code for number in range(10)] == [401] * 10
    assert_turned_away(call(address="198.51.100.100"))  # the set of working keys is read
    with CaptureQueriesContext(connection) as queries:
        for number in range(30):
            assert_turned_away(call("/partners/nothing", key="", address=f"192.0.2.{number}"))
    assert queries.captured_queries == []
    assert ApiLog.objects.exclude(status_code=200).count() == 10

    public = "/partners/public/oaid/1/credit-line"
    assert call(public, key="", address="192.0.2.200").status_code == 200  # needs no key
    assert call(key=key, address="192.0.2.201").status_code == 200
    assert call(path="/partners/nothing", key=key, address="192.0.2.201").status_code == 404
    assert ApiLog.objects.filter(status_code=404).count() == 1  # a partner's row is not among those


def test_strangers_who_use_up_their_rows_do_not_hide_that_a_stolen_key_is_tried(settings: Any) -> None:
    settings.REFUSED_CALL_ROWS = 10
    partner, key = partner_with_key()
    Partner.objects.filter(pk=partner.pk).update(ip_allow_list=["198.51.100.0/24"])
    for number in range(12):
        call(address=f"192.0.2.{number}")

    assert call(key=key).json()["code"] == "ip_not_allowed"

    row = ApiLog.objects.get(partner_id=partner.partner_id)
    assert (row.error_code, row.ip_address) == ("ip_not_allowed", HOSTILE)


def test_a_stolen_key_from_many_addresses_uses_up_no_strangers_rows(settings: Any) -> None:
    settings.REFUSED_CALL_ROWS = 10
    partner, key = partner_with_key()
    Partner.objects.filter(pk=partner.pk).update(ip_allow_list=["198.51.100.0/24"])
    for number in range(12):
        call(key=key, address=f"192.0.2.{number}")

    assert ApiLog.objects.count() == 10
    assert call().status_code == 401  # looked at, not turned away
    assert ApiLog.objects.count() == 11


def test_what_the_schema_says_needs_no_key_is_never_turned_away_for_others() -> None:
    paths = json.loads(SCHEMA.read_text())["paths"]
    asks_no_key = {path for path, item in paths.items() for act in item.values() if act["security"] == []}
    assert "/partners/public/oaid/{oaidTokenId}/credit-line" in asks_no_key
    assert [
        path for path in asks_no_key if not refusal_limits.is_public(path) and not refusal_limits.is_exempt(path)
    ] == []
    assert [
        path
        for path in paths
        if path not in asks_no_key and (refusal_limits.is_public(path) or refusal_limits.is_exempt(path))
    ] == []


def test_memory_is_bounded_and_who_comes_after_is_not_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_ADDRESSES", 5)
    for number in range(8):
        refuse(LIMIT + 1, address=f"198.51.100.{number}")
    assert len(counting.refusals._over) == 5
    assert call(address="198.51.100.200").status_code == 401


@pytest.mark.usefixtures("redis_down")
def test_memory_is_bounded_without_redis_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_ADDRESSES", 5)
    for number in range(8):
        call(address=f"198.51.100.{number}")
    assert len(counting.refusals._own) == 5
    assert len(refused_calls.pending._calls) <= refused_calls.MAX_ADDRESSES


def test_who_was_refused_how_often_is_in_the_database_a_minute_later() -> None:
    refuse(LIMIT + 25)
    call("/partners/nothing", key="", address="203.0.113.10")
    refused_calls.pending._due = 0.0
    refused_calls.pending.push_due()
    refused_calls.move_counts_into_rows()
    counted = sum(row.calls for row in RefusedCalls.objects.filter(address=HOSTILE))
    assert counted + ApiLog.objects.filter(ip_address=HOSTILE).count() == LIMIT + 25
    assert not RefusedCalls.objects.exclude(address=HOSTILE).exists()


def test_the_keys_are_read_by_one_thread_and_a_failing_database_keeps_those_that_were_read() -> None:
    readings: list[frozenset[str]] = [frozenset({"a"})]

    def read() -> frozenset[str]:
        return readings.pop()

    known = live_keys.LiveKeys(read)
    assert known.has("a")
    assert not known.has("b")
    known._next_reading = 0.0
    assert known.has("a")  # the second reading raises
    assert not known.has("b")


def test_while_nobody_could_ever_read_the_keys_nobody_with_one_is_turned_away() -> None:
    def read() -> frozenset[str]:
        raise ConnectionError

    assert live_keys.LiveKeys(read).has("a")
