"""Who may read the figures at /metrics, and what everybody else is told: nothing, not even that they are there."""

import json
import logging
import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from django.test import Client

from audit.models import ApiLog
from partner_platform.core.web import acceptance
from tests.support.live import LIVE

pytestmark = pytest.mark.django_db

TOKEN = "a-token-for-tests-with-32-characters-or-more"
OUTSIDE, LOOPBACK, PROXY = "203.0.113.9", "127.0.0.1", "10.0.0.1"


@pytest.fixture(autouse=True)
def as_in_production(settings: Any) -> None:
    settings.METRICS_TOKEN, settings.METRICS_NETWORKS, settings.TRUSTED_PROXIES = "", [], []


def get(peer: str | None, method: str = "GET", **headers: str) -> Any:
    extra: Any = {"REMOTE_ADDR": peer or "", **headers}
    return Client().generic(method, "/metrics", **extra)


def is_refused_as_if_it_were_not_there(answer: Any) -> bool:
    """The answer is the one of a path that nothing is at, but for the request's id."""
    unknown = Client().generic(answer.request["REQUEST_METHOD"], "/metricz")
    told, expected = json.loads(answer.content), json.loads(unknown.content)
    told["requestId"] = expected["requestId"] = answer["X-Request-Id"] = unknown["X-Request-Id"] = ""
    return (answer.status_code, told, dict(answer.headers)) == (404, expected, dict(unknown.headers))


def test_who_has_the_token_reads_the_page_in_the_text_format(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN

    answer = get(OUTSIDE, HTTP_AUTHORIZATION=f"Bearer {TOKEN}")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert b"# TYPE settlement_operations gauge\n" in answer.content
    assert b"# TYPE reconciliation_discrepancies gauge\n" in answer.content
    assert get(OUTSIDE, HTTP_AUTHORIZATION=f"bearer  {TOKEN} ").status_code == 200


def test_the_web_server_learns_that_a_token_was_right_and_of_no_wrong_one(settings: Any) -> None:
    """So that a scrape comes before strangers there, as a partner's call does."""
    settings.METRICS_TOKEN, told = TOKEN, list[str]()

    for offered in (TOKEN, f"{TOKEN}x"):
        meta: dict[str, Any] = {acceptance.KEY: partial(told.append, offered)}
        get(OUTSIDE, HTTP_AUTHORIZATION=f"Bearer {offered}", **meta)

    assert told == [TOKEN]


@pytest.mark.parametrize(
    "offered",
    [
        "Bearer ",
        "Bearer",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        f"Token {TOKEN}",
        "Bearer é",
    ],
)
@pytest.mark.parametrize("peer", [OUTSIDE, LOOPBACK])
def test_a_wrong_token_is_refused_wherever_it_comes_from_and_the_log_says_so(
    settings: Any, caplog: pytest.LogCaptureFixture, offered: str, peer: str
) -> None:
    settings.METRICS_TOKEN, settings.METRICS_NETWORKS = TOKEN, ["127.0.0.0/8"]

    with caplog.at_level(logging.WARNING, logger="partner_platform.scraping"):
        assert is_refused_as_if_it_were_not_there(get(peer, HTTP_AUTHORIZATION=offered))

    assert [record.getMessage() for record in caplog.records] == [
        f"a scrape with a wrong token was refused: it came from {peer}"
    ]


@pytest.mark.parametrize("offered", ["", "Bearer ", "Bearer None"])
def test_without_a_token_configured_none_is_right(offered: str) -> None:
    assert is_refused_as_if_it_were_not_there(get(OUTSIDE, HTTP_AUTHORIZATION=offered))
    assert is_refused_as_if_it_were_not_there(get(LOOPBACK, HTTP_AUTHORIZATION=offered))


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "is_read"),
    [
        (LOOPBACK, "", [], True),
        ("127.8.9.1", "", [], True),
        ("::1", "", [], True),
        ("::ffff:127.0.0.1", "", [], True),
        (OUTSIDE, "", [], False),
        (None, "", [], False),
        # What a caller claims of itself is no address.
        (OUTSIDE, LOOPBACK, [], False),
        (PROXY, LOOPBACK, ["10.9.0.0/16"], False),
        # Behind a proxy of ours the caller is whom the proxy saw.
        (PROXY, OUTSIDE, ["10.0.0.0/8"], False),
        (PROXY, f"{LOOPBACK}, {OUTSIDE}", ["10.0.0.0/8"], False),
        (LOOPBACK, OUTSIDE, ["127.0.0.0/8"], False),
    ],
)
def test_without_a_token_the_address_decides(
    settings: Any, peer: str | None, forwarded: str, proxies: list[str], is_read: bool
) -> None:
    settings.METRICS_NETWORKS, settings.TRUSTED_PROXIES = ["127.0.0.0/8", "::1/128"], proxies

    answer = get(peer, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}))

    assert (answer.status_code == 200) is is_read
    assert is_read or is_refused_as_if_it_were_not_there(answer)


def test_a_token_that_is_offered_where_none_is_asked_for_is_not_looked_at(settings: Any) -> None:
    settings.METRICS_NETWORKS = ["127.0.0.0/8"]
    assert get(LOOPBACK, HTTP_AUTHORIZATION="Bearer of-another-platform").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_there_even_with_the_token(settings: Any, method: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert is_refused_as_if_it_were_not_there(get(OUTSIDE, method, HTTP_AUTHORIZATION=f"Bearer {TOKEN}"))


def test_a_cross_site_form_is_told_nothing_either() -> None:
    answer = Client(enforce_csrf_checks=True).post("/metrics", {"a": "b"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_scrapes_are_not_in_the_log_of_calls_and_never_over_a_limit(settings: Any) -> None:
    settings.METRICS_TOKEN, settings.RATE_LIMITS = TOKEN, {**settings.RATE_LIMITS, "PUBLIC": 1}
    statuses = {get(OUTSIDE, HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code for _ in range(20)}
    assert (statuses, ApiLog.objects.count()) == ({200}, 0)


def test_prometheus_asks_without_tls_inside_the_network_and_nothing_else_may(settings: Any) -> None:
    settings.METRICS_TOKEN, settings.SECURE_SSL_REDIRECT = TOKEN, True
    assert get(PROXY, HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 200
    assert Client().get("/health/live").status_code == 301


def test_a_head_request_is_told_the_type_and_no_figures(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = get(OUTSIDE, "HEAD", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert (answer.status_code, answer["Content-Type"][:10], answer.content) == (200, "text/plain", b"")


def configured(**environment: str) -> subprocess.CompletedProcess[str]:
    """What a process says of who may read the figures, as its environment has it."""
    program = "from partner_platform import settings as s; print(s.METRICS_TOKEN, s.METRICS_NETWORKS)"
    process: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **LIVE, **environment},  # not the tests' own: a sandbox's key is refused live
        capture_output=True,
        text=True,
        check=False,
    )
    return process


def test_in_production_nobody_may_read_them_until_a_token_or_a_network_is_named() -> None:
    assert configured().stdout == " []\n"
    assert configured(PLATFORM_ENVIRONMENT="sandbox").stdout == " ['127.0.0.0/8', '::1/128']\n"


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"METRICS_TOKEN": TOKEN[:31]}, "METRICS_TOKEN must have 32 characters at least"),
        ({"METRICS_NETWORKS": "10.0.0.0/8,everywhere"}, "METRICS_NETWORKS: 'everywhere' is not an address or CIDR"),
    ],
)
def test_a_token_that_can_be_guessed_and_a_network_that_is_none_stop_the_start(
    environment: dict[str, str], complaint: str
) -> None:
    refused = configured(**environment)
    assert refused.returncode == 1
    assert complaint in refused.stderr
    assert TOKEN[:31] not in refused.stderr
