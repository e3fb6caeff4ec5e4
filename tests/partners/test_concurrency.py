"""One partner's calls leave threads to the others; what is refused for that changed nothing and is in the log."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client
from django_redis import get_redis_connection

from audit.models import ApiLog
from partner_platform.core.fair_share import FairShare
from partners.access import concurrency
from partners.models import Partner
from tests.factories import partner_with_key
from tests.partners import urls

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

CLIENT = Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> FairShare:
    get_redis_connection("default").flushdb()
    threads = FairShare(4, 3)
    monkeypatch.setattr(concurrency, "calls_in_flight", threads)
    return threads


def call(key: str, method: str = "get", **extra: Any) -> Any:
    return getattr(CLIENT, method)("/partners/whoami", headers={"Authorization": f"Bearer {key}"}, **extra)


def occupy(partner: Partner, calls: int) -> None:
    assert all(concurrency.calls_in_flight.take(partner.pk) for _ in range(calls))


def test_a_partner_with_its_share_in_flight_is_429_and_another_is_served(django_assert_num_queries: Any) -> None:
    partner, key = partner_with_key()
    _, other = partner_with_key()
    call(key)
    occupy(partner, 3)

    with django_assert_num_queries(2):  # the key's, and the row
        refused = call(key)

    body = refused.json()
    assert (refused.status_code, body["code"], body["retryable"]) == (429, "concurrency_limited", True)
    assert refused.headers["Retry-After"] == "1"
    assert call(other).status_code == 200
    assert ApiLog.objects.filter(error_code="concurrency_limited", partner_id=partner.partner_id).count() == 1


def test_it_is_the_partners_call_and_no_refusal_of_its_address(settings: Any) -> None:
    settings.RATE_LIMIT_REFUSED = 2
    partner, key = partner_with_key()
    occupy(partner, 3)
    assert {call(key).json()["code"] for _ in range(5)} == {"concurrency_limited"}
    assert ApiLog.objects.filter(partner_id=partner.partner_id).count() == 5


def test_it_counts_against_no_rate() -> None:
    partner, key = partner_with_key()
    occupy(partner, 3)
    refused = call(key)
    assert "RateLimit" not in refused.headers
    assert get_redis_connection("default").llen(f"rate:{partner.pk}") == 0


@pytest.mark.parametrize("ending", ["answered", "refused by its body", "rate limited", "a bug"])
def test_however_a_call_ends_its_thread_is_free_again(
    ending: str, settings: Any, monkeypatch: pytest.MonkeyPatch, four_threads: FairShare
) -> None:
    _, key = partner_with_key()
    call(key)
    if ending == "refused by its body":
        assert call(key, "post", data="no JSON", content_type="application/json").status_code == 400
    elif ending == "rate limited":
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "BASIC": 1}
        assert call(key).json()["code"] == "rate_limited"
    elif ending == "a bug":
        monkeypatch.setattr(urls.Whoami, "get", lambda *_: 1 // 0)
        assert call(key).status_code == 500
    assert not four_threads._held


def test_a_streamed_answer_holds_its_thread_until_the_last_byte(
    monkeypatch: pytest.MonkeyPatch, four_threads: FairShare
) -> None:
    partner, key = partner_with_key()
    held: list[int] = []

    def chunks() -> Iterator[bytes]:
        held.append(four_threads._held[partner.pk])
        yield b"a"

    monkeypatch.setattr(urls.Whoami, "get", lambda *_: StreamingHttpResponse(chunks()))
    answer = call(key)
    assert b"".join(answer.streaming_content) == b"a"
    answer.close()
    assert held == [1]
    assert not four_threads._held
