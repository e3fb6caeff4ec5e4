"""The platform behind its own server, called over a socket: no header or body makes it believe what it should not."""

import json
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client

from audit.models import ApiLog
from tests.factories import partner_with_key
from tests.server.conftest import Running, Serve

pytestmark = [pytest.mark.django_db(transaction=True)]

STATS = "/partners/my/stats"


@pytest.fixture
def platform(serve: Serve, settings: Any) -> Running:
    return serve(closing_connections(get_wsgi_application()))


def closing_connections(application: Any) -> Any:
    def wrapped(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            response = application(environ, start_response)
            body = b"".join(response)
            response.close()
            return [body]
        finally:
            connections.close_all()  # this thread's

    return wrapped


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('__', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    "name", ["SCRIPT_NAME", "Script__Name", "Script_Name", "X__Script__Name", "X__Forwarded__Prefix"]
)
def test_no_header_takes_a_call_out_of_the_log_of_calls(platform: Running, name: str) -> None:
    _, key = partner_with_key()
    credentials = {"Authorization": f"Bearer {key}", name: "/x"}

    plain = platform.call(request("GET", STATS, b"", **credentials)).answer()
    prefixed = platform.call(request("GET", "/x" + STATS, b"", **credentials)).answer()

    assert (plain.status, prefixed.status) == (200, 404)
    assert [row.endpoint for row in ApiLog.objects.all()] == [STATS]


def test_no_server_takes_a_call_out_of_the_log_of_calls() -> None:
    """Some servers set the prefix by a header."""
    assert Client().get(STATS, SCRIPT_NAME="/x").status_code == 401
    assert [row.endpoint for row in ApiLog.objects.all()] == [STATS]


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script__Name"])
def test_no_header_passes_the_limit_of_a_body(platform: Running, name: str) -> None:
    _, key = partner_with_key()
    body = json.dumps({"a": "x" * 200_000}).encode()
    for path in ("/partners/borrow", "/console/partners/borrow", "/console/login/"):
        answer = platform.call(
            request("POST", path, body, Authorization=f"Bearer {key}", **{name: "/console"})
        ).answer()
        assert (answer.status, answer.envelope["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("trusted", "scheme", "status"),
    [
        ([], "https", 301),
        (["203.0.113.0/24"], "https", 301),
        (["127.0.0.0/8"], "https", 401),
        (["127.0.0.0/8"], "http", 301),
        (["127.0.0.0/8"], "https, http", 301),
    ],
)
def test_only_a_trusted_proxy_says_that_a_call_came_over_tls(
    serve: Serve, settings: Any, trusted: list[str], scheme: str, status: int
) -> None:
    settings.SECURE_SSL_REDIRECT, settings.TRUSTED_PROXIES = True, trusted
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    running = serve(closing_connections(get_wsgi_application()))

    answer = running.call(request("GET", STATS, X__Forwarded__Proto=scheme)).answer()

    assert answer.status == status


def test_the_body_of_a_refused_call_is_not_read_as_another_call(platform: Running) -> None:
    _, key = partner_with_key()
    hidden = request("GET", STATS, Authorization=f"Bearer {key}")
    for method, path in (
        ("POST", "/partners/borrow"),
        ("GET", STATS),
        ("POST", "/health/live"),
        ("PUT", "/health/live"),
    ):
        caller = platform.call(request(method, path, hidden) + request("GET", "/nowhere", Connection="close"))
        assert caller.answer().status in (401, 405)
        assert caller.answer().status == 404
        assert caller.is_closed()
    assert not ApiLog.objects.filter(status_code=200).exists()


def test_a_chunked_body_is_read(platform: Running) -> None:
    _, key = partner_with_key()
    head = request("POST", "/partners/repay", Authorization=f"Bearer {key}", Transfer__Encoding="chunked")
    head = head.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n")

    answer = platform.call(head + b'8\r\n{"partne\r\nd\r\nrLoanId": 5}\n\r\n0\r\n\r\n').answer()

    assert answer.status == 400
    assert {"partnerLoanId", "repaymentAmount"} <= set(answer.envelope["details"])
