"""How many calls pass, and what the others are told."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client
from django_redis import get_redis_connection

from audit.models import ApiLog
from partners.access import rate_limit
from partners.access.rate_limit import Once, Quota
from partners.models import ApiKey
from tests.factories import partner_with_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]

LIMIT = re.compile(r'"([a-z]+)";r=(\d+);t=(\d+)')
POLICY = re.compile(r'"([a-z]+)";q=(\d+);w=60')


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    get_redis_connection("default").flushdb()


def call(key: str, path: str = "/partners/whoami", **extra: Any) -> Any:
    return Client(raise_request_exception=False).get(path, headers={"Authorization": f"Bearer {key}"}, **extra)


def age_by(subject: str, seconds: int, calls: int | None = None) -> None:
    """As if the oldest `calls` counted ones (all by default) had come that much earlier."""
    redis = get_redis_connection("default")
    times = [int(time) for time in redis.lrange(f"rate:{subject}", 0, -1)]
    aged = len(times) if calls is None else calls
    for index in range(len(times) - aged, len(times)):
        redis.lset(f"rate:{subject}", index, times[index] - seconds * 1_000_000)


@pytest.mark.parametrize(("tier", "limit"), [("BASIC", 100), ("PREMIUM", 500), ("ENTERPRISE", 2000)])
def test_a_partner_has_as_many_calls_a_minute_as_its_tier_says(tier: str, limit: int) -> None:
    partner, key = partner_with_key(tier=tier)
    first = call(key)
    assert first.headers["RateLimit-Policy"] == f'"{tier.lower()}";q={limit};w=60'
    assert LIMIT.fullmatch(first.headers["RateLimit"]).groups() == (tier.lower(), str(limit - 1), "60")
    quota = rate_limit.partner_quota(tier)
    assert all(rate_limit.count_call(quota=quota, subject=str(partner.pk)).is_admitted for _ in range(limit - 1))

    refused = call(key)

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.json()["message"] == f"Rate limit exceeded: {limit} requests a minute"
    assert refused.json()["retryable"] is True
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert LIMIT.fullmatch(refused.headers["RateLimit"]).group(2) == "0"
    assert POLICY.fullmatch(refused.headers["RateLimit-Policy"])
    assert ApiLog.objects.filter(status_code=429, error_code="rate_limited", partner_id=partner.partner_id).count() == 1


def test_200_calls_at_once_from_twenty_threads_on_a_limit_of_100_are_exactly_100() -> None:
    quota = Quota("basic", 100)

    with ThreadPoolExecutor(20) as pool:
        decisions = list(pool.map(lambda _: rate_limit.count_call(quota=quota, subject="p"), range(200)))

    assert Counter(decision.is_admitted for decision in decisions) == {True: 100, False: 100}
    assert sorted(decision.remaining for decision in decisions if decision.is_admitted) == list(range(100))


def test_the_minute_slides_so_that_no_edge_lets_twice_as_many_pass() -> None:
    quota = Quota("basic", 10)
    for _ in range(10):
        rate_limit.count_call(quota=quota, subject="p")
    age_by("p", 59)
    late = rate_limit.count_call(quota=quota, subject="p")
    assert (late.is_admitted, late.seconds) == (False, 1)

    age_by("p", 1, calls=4)

    decisions = [rate_limit.count_call(quota=quota, subject="p").is_admitted for _ in range(6)]
    assert decisions == [True] * 4 + [False] * 2


def test_retry_after_is_when_a_call_passes_again_also_where_the_limit_was_lowered() -> None:
    for _ in range(10):
        rate_limit.count_call(quota=Quota("premium", 10), subject="p")
    age_by("p", 30, calls=7)
    lowered = rate_limit.count_call(quota=Quota("basic", 5), subject="p")
    assert not lowered.is_admitted
    assert lowered.seconds == 30  # the fifth newest leaves then
    age_by("p", 30, calls=7)
    assert rate_limit.count_call(quota=Quota("basic", 5), subject="p").is_admitted


def test_refused_calls_do_not_count() -> None:
    quota = Quota("basic", 3)
    for _ in range(10):
        rate_limit.count_call(quota=quota, subject="p")
    assert get_redis_connection("default").llen("rate:p") == 3


def test_partners_are_counted_by_themselves_whatever_key_they_use() -> None:
    first, key = partner_with_key()
    _, other = partner_with_key()
    for _ in range(100):
        rate_limit.count_call(quota=Quota("basic", 100), subject=str(first.pk))
    assert call(key).status_code == 429
    assert call(other).status_code == 200


def test_who_is_not_authenticated_takes_nothing_from_a_partners_calls() -> None:
    partner, _ = partner_with_key()
    refused = call("pk_test_sandbox_" + "a" * 32)
    assert refused.status_code == 401
    assert "RateLimit" not in refused.headers
    assert not get_redis_connection("default").exists(f"rate:{partner.pk}")


def test_errors_after_admission_carry_the_headers_too() -> None:
    _, key = partner_with_key()
    answer = Client().post(
        "/partners/whoami", data="not json", content_type="application/json", headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 400
    assert LIMIT.fullmatch(answer.headers["RateLimit"]).group(2) == "99"


def test_a_call_costs_one_round_trip_to_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    _, key = partner_with_key()
    call(key)
    ApiKey.objects.update(last_used_at=None)  # this one notes the key's use as well
    asked: list[str] = []
    original = Redis.execute_command

    def note(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(args[0])
        return original(self, *args, **options)

    monkeypatch.setattr(Redis, "execute_command", note)
    assert call(key).status_code == 200
    assert asked == ["EVALSHA"]


def test_a_restarted_redis_is_told_the_script_again() -> None:
    quota = Quota("basic", 2)
    rate_limit.count_call(quota=quota, subject="p")
    get_redis_connection("default").script_flush()
    assert rate_limit.count_call(quota=quota, subject="p").remaining == 0


def test_a_mark_is_set_once_and_not_by_a_call_that_is_refused() -> None:
    quota, signature = Quota("basic", 1), Once("p:ab", 600)
    assert rate_limit.count_call(quota=quota, subject="p", signature=signature).is_admitted
    assert rate_limit.count_call(quota=quota, subject="p", signature=signature).is_replay
    assert not rate_limit.count_call(quota=quota, subject="p", signature=Once("p:cd", 600)).is_admitted
    assert rate_limit.count_call(quota=quota, subject="q", signature=Once("p:cd", 600)).is_admitted
    assert 595 <= get_redis_connection("default").ttl("signature:p:ab") <= 600


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("203.0.113.9", "address:203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::"),
        (None, "address:unknown"),
    ],
)
def test_addresses_are_counted_by_ipv4_address_and_ipv6_network(address: str | None, subject: str) -> None:
    assert rate_limit.public_subject(address) == subject


def test_without_redis_reads_go_on_and_what_may_move_money_is_503(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    _, key = partner_with_key()
    read = call(key)
    assert read.status_code == 200
    assert "RateLimit" not in read.headers
    refused = Client().post(
        "/partners/whoami", data="{}", content_type="application/json", headers={"Authorization": f"Bearer {key}"}
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_unavailable")
    assert refused.headers["Retry-After"] == "2"


def public(address: str = "203.0.113.9", forwarded: str = "") -> Any:
    return Client().get("/elsewhere", REMOTE_ADDR=address, HTTP_X_FORWARDED_FOR=forwarded)


def test_an_address_has_60_calls_a_minute_where_no_key_is_needed(settings: Any) -> None:
    answers = [public() for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].headers["RateLimit-Policy"] == '"public";q=60;w=60'

    refused = public()

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    assert public(forwarded="198.51.100.1").status_code == 429  # anybody can write that header
    assert public("203.0.113.10").status_code == 200
    settings.TRUSTED_PROXIES = ["203.0.113.9"]
    assert public(forwarded="198.51.100.1").status_code == 200


def test_without_redis_public_reads_go_on(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert public().status_code == 200
