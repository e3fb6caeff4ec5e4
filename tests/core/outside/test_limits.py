"""A server may be slow, endless, broken or silent: the request ends at its deadline, and takes little memory."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partner_platform.core.outside import Kind, OutsideError, resolving
from partner_platform.core.outside.resolving import Resolver
from tests.core.outside.certificates import Authority
from tests.core.outside.receivers import JSON, OK, Caller, Names, answering, answering_once, outside_client, receiver

DEADLINE = 0.15
KIB = 1024


def failure(answer: Callable[[Caller], None], *, body: bytes = b"{}", **options: Any) -> tuple[Kind, str]:
    """How a post to such a server failed; none of it may last longer than the deadline and a pause of the machine."""
    with receiver(answer) as listening, outside_client(Names({"receiver": ["127.0.0.1"]}), **options) as client:
        began = time.monotonic()
        with pytest.raises(OutsideError) as refused:
            client.post(f"http://receiver:{listening.port}/hook", body=body, headers=JSON)
        assert time.monotonic() - began < 5
        assert len(client._pool) == 0
    return refused.value.kind, str(refused.value)


def silence(caller: Caller) -> None:
    caller.receiver.is_over.wait(10)


TIMED_OUT = (Kind.TIMEOUT, "receiver did not answer completely within the time allowed.")
TOO_LARGE = (Kind.TOO_LARGE, "The response is too large.")
HALF = (Kind.PROTOCOL, "receiver closed the connection before its response was complete.")
NO_RESPONSE = (Kind.PROTOCOL, "receiver sent something that is not a response of HTTP/1.1.")


@pytest.mark.parametrize(
    ("at_once", "dripped"),
    [
        (b"", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"b" * 500),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nb\r\n" * 100 + b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"b" * 500),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK),
    ],
    ids=["headers", "body", "chunks", "body without a length", "interim responses"],
)
def test_a_response_that_comes_byte_by_byte_ends_at_the_deadline(at_once: bytes, dripped: bytes) -> None:
    sent: list[int] = []

    def answer(caller: Caller) -> None:
        caller.read_request()
        caller.send(at_once)
        sent.append(caller.drip(dripped))

    assert failure(answer, timeout_seconds=DEADLINE) == TIMED_OUT
    assert 0 < sent[0] < len(dripped)


def test_a_server_that_says_nothing_ends_at_the_deadline() -> None:
    assert failure(silence, timeout_seconds=DEADLINE) == TIMED_OUT


def test_a_server_that_does_not_read_ends_at_the_deadline() -> None:
    body = bytes(20_000_000)  # more than the buffers of both sides take
    assert failure(silence, body=body, timeout_seconds=DEADLINE) == TIMED_OUT


def dripping_handshake(caller: Caller) -> None:
    """A record of TLS that has 16 KiB and comes byte by byte."""
    caller.drip(b"\x16\x03\x03\x40\x00" + bytes(500))


@pytest.mark.parametrize("answer", [silence, dripping_handshake])
def test_a_handshake_that_does_not_end_ends_at_the_deadline(answer: Callable[[Caller], None]) -> None:
    with receiver(answer) as listening:
        with outside_client(timeout_seconds=DEADLINE) as client, pytest.raises(OutsideError) as refused:
            client.post(f"https://127.0.0.1:{listening.port}/", body=b"{}", headers=JSON)
        assert listening.connections == 1
    assert refused.value.kind is Kind.TIMEOUT


def test_a_dripping_response_with_tls_ends_at_the_deadline(authority: Authority, tmp_path: Path) -> None:
    def answer(caller: Caller) -> None:
        caller.read_request()
        caller.drip(OK.replace(b"\r\n\r\n", b"\r\nX-A: " + b"b" * 500 + b"\r\n\r\n"))

    with receiver(answer) as listening:
        listening.tls = authority.server_context(tmp_path, "127.0.0.1")
        options: dict[str, Any] = {"timeout_seconds": 0.4, "certificate_authorities": authority.pem}
        with outside_client(**options) as client, pytest.raises(OutsideError) as refused:
            client.post(f"https://127.0.0.1:{listening.port}/", body=b"{}", headers=JSON)
        assert len(listening.requests) == 1
    assert refused.value.kind is Kind.TIMEOUT


class SilentNames:
    """A name server that does not answer before it is let go; `asked` counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, name: str, *args: Any) -> list[tuple[Any, ...]]:
        self.asked.append(name)
        if name == "fine.example.com.":
            return Names({name: ["127.0.0.1"]})(name)
        self.let_go.wait(10)
        return Names({name: ["127.0.0.1"]})(name)


def test_a_look_up_that_hangs_ends_at_the_deadline_and_holds_one_thread() -> None:
    names = SilentNames()
    resolver = Resolver(names)
    before = threading.active_count()
    with outside_client(timeout_seconds=0.05) as client:
        client._resolver = resolver
        for _ in range(3):
            with pytest.raises(OutsideError) as refused:
                client.post("https://slow.example.com/", body=b"{}", headers=JSON)
            assert refused.value.kind is Kind.TIMEOUT
            assert "slow.example.com" in str(refused.value)
    assert names.asked == ["slow.example.com."]  # the three share it
    assert threading.active_count() == before + 1
    assert [str(address) for address in resolver.addresses("fine.example.com", 10)] == ["127.0.0.1"]
    names.let_go.set()
    assert [str(address) for address in resolver.addresses("slow.example.com", 10)] == ["127.0.0.1"]


def test_look_ups_that_hang_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "MAX_LOOKUPS", 2)
    names = SilentNames()
    resolver = Resolver(names)
    for number in (1, 2):
        with pytest.raises(TimeoutError):
            resolver.addresses(f"slow{number}.example.com", 0.01)
    with pytest.raises(OutsideError) as refused:
        resolver.addresses("slow3.example.com", 0.01)
    names.let_go.set()
    assert refused.value.kind is Kind.DNS
    assert names.asked == ["slow1.example.com.", "slow2.example.com."]


def test_a_failed_look_up_is_asked_again_by_the_next_request() -> None:
    names = Names()
    resolver = Resolver(names)
    with pytest.raises(OutsideError):
        resolver.addresses("hooks.example.com", 10)
    names.names["hooks.example.com."] = ["192.0.2.1", "2001:db8::1%eth0", "192.0.2.1"]
    assert [str(address) for address in resolver.addresses("hooks.example.com", 10)] == ["192.0.2.1", "2001:db8::1"]


def endless(start: bytes, then: bytes) -> Callable[[Caller], None]:
    """Sends `then` until the caller has enough."""

    def answer(caller: Caller) -> None:
        caller.read_request()
        caller.send(start)
        while not caller.receiver.is_over.is_set():
            caller.send(then * 100)

    return answer


LARGE_BODY = (Kind.TOO_LARGE, "receiver sent status 200 with more than 64 KiB.")


@pytest.mark.parametrize(
    ("start", "then", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"0" * 1000, LARGE_BODY),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"0" * 1000, LARGE_BODY),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"0" * 1000 + b"\r\n", LARGE_BODY),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 9000 + b"\r\n0\r\n", TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 0\r\n", TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", b"0" * 1000, NO_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"0" * 1000, TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"0" * 1000, TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"0" * 1000 + b"\r\n", TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", NO_RESPONSE),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", TOO_LARGE),
        (b"", b"0" * 1000, TOO_LARGE),
    ],
    ids=[
        *(
            "length",
            "no length",
            "chunks",
            "chunk extensions",
            "trailers",
            "negative chunk",
            "chunk to the end",
            "one header",
        ),
        *("long headers", "many headers", "interim responses", "status line"),
    ],
)
def test_a_response_without_end_is_cut_off(start: bytes, then: bytes, expected: tuple[Kind, str]) -> None:
    assert failure(endless(start, then)) == expected


@pytest.mark.parametrize("length", [64 * KIB, 64 * KIB + 1])
def test_a_body_has_64_kib_at_most(length: int) -> None:
    head = b"HTTP/1.1 500 Broken\r\nContent-Length: %d\r\n\r\n" % length
    with receiver(answering(head + bytes(length))) as listening, outside_client() as client:
        if length == 64 * KIB:
            response = client.post(listening.url, body=b"{}", headers=JSON)
            assert (response.status, response.body) == (500, bytes(length))
        else:
            with pytest.raises(OutsideError) as refused:
                client.post(listening.url, body=b"{}", headers=JSON)
            assert refused.value.kind is Kind.TOO_LARGE
            assert str(refused.value) == "127.0.0.1 sent status 500 with more than 64 KiB."


def test_headers_of_20_kib_are_taken() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-A: " + b"0" * 20 * KIB + b"\r\nContent-Length: 0\r\n\r\n"
    with receiver(answering(head)) as listening, outside_client() as client:
        assert len(client.post(listening.url, body=b"{}", headers=JSON).headers["x-a"]) == 20 * KIB


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", HALF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", HALF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", HALF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n", HALF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsize\r\n", HALF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", NO_RESPONSE),
        (b"HTTP/2 200\r\n\r\n", NO_RESPONSE),
        (b"HTTP/1.1 2000 OK\r\n\r\n", NO_RESPONSE),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NO_RESPONSE),
        (b"+PONG\r\n", NO_RESPONSE),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
            (Kind.PROTOCOL, "receiver sent an interim response that was not asked for."),
        ),
    ],
)
def test_a_response_that_is_none_or_breaks_off_is_an_error(sent: bytes, expected: tuple[Kind, str]) -> None:
    assert failure(answering_once(sent)) == expected
