"""The proxy of docker-compose.yml: what it says of each refusal, and, where nginx is at hand, what it does."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from partner_platform.core.error_catalogue import CATALOGUE, example_of
from partner_platform.core.errors import ErrorCode, field_errors
from partner_platform.core.web.middleware import MAX_BODY_BYTES
from partner_platform.server import limits
from sandbox.servers.ports import LOOPBACK, accepts, free_port
from sandbox.servers.process import Server
from tests.server.conftest import Running, Serve, echo
from tests.support.waiting import eventually

PROJECT = Path(__file__).resolve().parent.parent.parent
CONFIG = (PROJECT / "configs" / "nginx.conf").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
NGINX = os.environ.get("NGINX_BIN") or shutil.which("nginx")
HEAD = b"POST /partners/borrow HTTP/1.1\r\nHost: api.example.com\r\n"


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    assert {name for name, service in COMPOSE["services"].items() if "ports" in service} == {"proxy"}
    assert COMPOSE["services"]["proxy"]["ports"] == ["127.0.0.1:8000:8080"]
    assert "listen 8080;" in CONFIG
    assert "server web:8000 resolve;" in CONFIG
    assert COMPOSE["services"]["proxy"]["image"] == "nginx:1.28-alpine"  # `resolve` came with 1.27.3


def test_what_the_proxy_passes_on_is_believed_and_nobody_elses() -> None:
    subnet = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
    for name in ("web", "worker", "beat", "migrate"):  # the worker tells the audit trail what is believed
        assert COMPOSE["services"][name]["environment"]["TRUSTED_PROXIES"] == f"${{TRUSTED_PROXIES:-{subnet}}}"


def test_no_container_fills_the_disk_with_lines_that_strangers_cause() -> None:
    bounds = {name: service.get("logging", {}).get("options") for name, service in COMPOSE["services"].items()}
    assert bounds == {name: {"max-size": "50m", "max-file": "5"} for name in COMPOSE["services"]}


def test_its_refusals_are_those_of_the_catalogue() -> None:
    refusals = re.findall(r"^ +(\d{3}) '(\"error\".*)';$", CONFIG, re.MULTILINE)
    waits = dict(re.findall(r"^ +(\d{3}) +(\d);$", CONFIG, re.MULTILINE))

    assert len(refusals) == 10
    for status, text in refusals:
        told = json.loads("{" + text.replace("$may_be_repeated", "true") + "}")
        expected = example_of(ErrorCode(told["code"]))
        if told["code"] in ("invalid_request", "method_not_allowed"):  # whose messages say more
            expected |= {"message": told["message"], "details": told["details"]}
        if told["code"] == "invalid_request":
            expected["errors"] = [vars(error) for error in field_errors(told["details"])]
        assert {**expected, "requestId": ""} == {
            **told,
            "success": False,
            "statusCode": int(status),
            "requestId": "",
        }
        retry_after = CATALOGUE[ErrorCode(told["code"])].retry_after
        assert waits.get(status) == (None if retry_after is None else str(retry_after))


def test_its_limits_are_the_servers() -> None:
    def seconds(name: str) -> int:
        return int(re.findall(rf"\b{name} (\d+)s;", CONFIG)[-1])

    assert f"client_max_body_size {MAX_BODY_BYTES // 1024}k;" in CONFIG
    assert seconds("client_header_timeout") + seconds("client_body_timeout") <= limits.REQUEST_SECONDS
    assert re.findall(r"keepalive_timeout (\d+)s", CONFIG)[-1] == "60"  # to us: shorter than ours to it
    assert limits.KEEP_ALIVE_SECONDS > 60


@pytest.fixture
def proxy(serve: Serve, tmp_path: Path) -> Iterator[Running]:
    """nginx with our configuration, its time-outs and bounds less, before a server of ours with 2 threads."""
    if NGINX is None:
        pytest.skip("nginx is not installed, and NGINX_BIN names none")
    port, web = free_port(), serve(echo, threads=2)
    config = CONFIG
    for ours, its in {
        "listen 8080;": f"listen {LOOPBACK}:{port};",
        "server web:8000 resolve;": f"server {LOOPBACK}:{web.port};",
        "client_header_timeout 10s;": "client_header_timeout 1s;",
        "client_body_timeout 10s;": "client_body_timeout 2s;",
        "limit_conn callers 256;": "limit_conn callers 64;",
        " /tmp": f" {tmp_path}",
    }.items():
        assert ours in config
        config = config.replace(ours, its)
    file = tmp_path / "nginx.conf"
    file.write_text(config)
    server = Server(
        name="nginx",
        command=[NGINX, "-c", str(file), "-p", str(tmp_path), "-e", "stderr", "-g", "daemon off;"],
        log=tmp_path / "nginx.log",
        ready=lambda: accepts(port),
    ).start()
    with ExitStack() as stack:
        yield Running(port, web.server, stack, web.thread)
    server.stop()


def test_it_reads_what_comes_slowly_and_ends_what_does_not_come(proxy: Running) -> None:
    halves = [HEAD + b"X-A: ", HEAD + b"Content-Length: 60000\r\n\r\n{"]
    slow = [proxy.call(half) for half in halves * 50]

    whole = proxy.call(HEAD + b"Content-Length: 2\r\n\r\n{}").answer()

    assert (whole.status, json.loads(whole.body)["body"]) == (200, "{}")
    assert len(proxy.server.active_channels) == 1  # of the whole one
    for caller in slow:
        with suppress(ConnectionResetError):
            caller.socket.recv(10_000)  # its refusal, or the end: not a time-out


def test_one_address_cannot_hold_the_proxy_with_bodies_that_drip(proxy: Running) -> None:
    def head(address: str, length: int) -> bytes:
        return HEAD + f"X-Forwarded-For: 198.51.100.1, {address}\r\nContent-Length: {length}\r\n\r\n{{}}".encode()

    for _ in range(80):
        proxy.call(head("203.0.113.9", 60000))

    def refused() -> Any:
        answer = proxy.call(head("203.0.113.9", 2)).answer()
        return answer if answer.status != 200 else None

    answer = eventually(refused, 2)  # its processes do not read what came in the order in which it came
    assert (answer.status, answer.envelope["code"]) == (503, "service_unavailable")
    assert proxy.call(head("203.0.113.10", 2)).answer().status == 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (HEAD + b"Content-Length: 70000\r\n\r\n", 413, "payload_too_large"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 40000 + b"\r\n\r\n", 431, "headers_too_large"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "invalid_request"),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"),
        (b"GARBAGE\r\n\r\n", 400, "invalid_request"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400, "invalid_request"),
    ],
)
def test_its_refusals_have_the_envelope(proxy: Running, data: bytes, status: int, code: str) -> None:
    answer = proxy.call(data).answer()

    assert (answer.status, answer.envelope["statusCode"], answer.envelope["code"]) == (status, status, code)
    assert answer.headers["X-Request-Id"] == answer.envelope["requestId"]


def test_where_the_platform_does_not_answer_that_is_told_in_the_envelope(proxy: Running) -> None:
    proxy.server.stop()
    assert proxy.thread is not None
    proxy.thread.join()

    answer = proxy.call(HEAD + b"Content-Length: 2\r\n\r\n{}").answer()

    assert (answer.status, answer.envelope["code"], answer.headers["Retry-After"]) == (503, "service_unavailable", "2")


@pytest.mark.parametrize(
    ("head", "is_retryable"),
    [
        (b"POST /partners/repay HTTP/1.1\r\n", False),
        (b"POST /partners/repay HTTP/1.1\r\nIdempotency-Key: \r\n", False),
        (b"POST /partners/%72epay HTTP/1.1\r\n", False),
        (b"POST http://api.example.com/partners/repay HTTP/1.1\r\n", False),
        (b"POST /partners/repay HTTP/1.1\r\nIdempotency-Key: order-4711\r\n", True),
        (b"POST /partners/borrow HTTP/1.1\r\n", True),
        (b"POST /partners/borrow/typed-data HTTP/1.1\r\n", True),
        (b"GET /partners/my/stats HTTP/1.1\r\n", True),
    ],
)
def test_a_repayment_without_a_key_whose_outcome_is_open_is_not_called_retryable(
    proxy: Running, head: bytes, is_retryable: bool
) -> None:
    proxy.server.stop()
    assert proxy.thread is not None
    proxy.thread.join()

    answer = proxy.call(head + b"Host: api.example.com\r\nContent-Length: 2\r\n\r\n{}").answer()

    assert (answer.status, answer.envelope["code"], answer.envelope["retryable"]) == (
        503,
        "service_unavailable",
        is_retryable,
    )


def test_what_it_calls_retryable_is_decided_without_nginx_too() -> None:
    (rules,) = re.findall(
        r"map \"\$request \$http_idempotency_key\" \$may_be_repeated \{\n(.*?)\n    \}", CONFIG, re.DOTALL
    )
    patterns = re.findall(r'"~(.+?)" +true;', rules)

    def may_be_repeated(line: str, key: str = "") -> bool:
        return any(re.search(pattern, f"{line} HTTP/1.1 {key}") for pattern in patterns)

    assert '"retryable":$may_be_repeated' in CONFIG
    assert not may_be_repeated("POST /partners/repay")
    assert not may_be_repeated("POST http://api.example.com/partners/repay")
    assert may_be_repeated("POST /partners/repay", "order-4711")
    assert may_be_repeated("POST /partners/borrow")
    assert may_be_repeated("GET /partners/my/stats")
