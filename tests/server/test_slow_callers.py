"""A slow sender holds a socket and no thread, and is closed when its time is over; all others are answered."""

import socket
import threading
from typing import Any

import pytest

from partner_platform.server import limits
from partner_platform.server.channel import Channel
from tests.server.conftest import Serve, echo

HALF_HEAD = b"POST /partners/borrow HTTP/1.1\r\nHost: a\r\nX-A: "
HALF_BODY = b"POST /partners/borrow HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{"
HALF_CHUNK = b"POST /partners/borrow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{"
NOTHING = b""
GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, HALF_CHUNK, NOTHING])
def test_200_halves_of_requests_hold_up_nobody(serve: Serve, half: bytes) -> None:
    running = serve(echo, threads=2)
    for _ in range(200):
        running.call(half)

    assert running.call(GET).answer().status == 200
    assert not running.server.task_dispatcher.queue


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, HALF_CHUNK])
def test_a_request_that_does_not_come_whole_is_told_so_and_closed(
    serve: Serve, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0)
    running = serve(echo)

    late = running.call(half)

    answer = late.answer()
    assert (answer.status, answer.envelope["code"], answer.envelope["retryable"]) == (408, "request_timeout", True)
    assert answer.headers["X-Request-Id"] == answer.envelope["requestId"]
    assert late.is_closed()


def test_a_connection_on_which_no_request_comes_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0)
    assert serve(echo).call().is_closed()


def test_a_dripping_request_is_not_given_more_time_with_each_drop() -> None:
    ours, its = socket.socketpair()
    with ours, its:
        channel = _channel(ours)
        channel.received(b"GET / HTTP/1.1\r\n")
        began = channel.waiting_since

        channel.received(b"X-A: 1\r\n")

        assert channel.waiting_since == began
        assert not channel.is_overdue(began + limits.REQUEST_SECONDS)
        assert channel.is_overdue(began + limits.REQUEST_SECONDS + 1)


def test_between_two_requests_a_connection_is_kept_longer_than_a_proxy_keeps_it() -> None:
    ours, its = socket.socketpair()
    with ours, its:
        channel = _channel(ours)
        channel.is_new = False
        began = channel.waiting_since
        assert limits.KEEP_ALIVE_SECONDS > 60
        assert not channel.is_overdue(began + limits.KEEP_ALIVE_SECONDS)
        assert channel.is_overdue(began + limits.KEEP_ALIVE_SECONDS + 1)


def test_who_waits_for_us_is_never_overdue_and_who_does_not_read_its_answer_is() -> None:
    ours, its = socket.socketpair()
    with ours, its:
        channel = _channel(ours)
        channel.received(GET)
        assert not channel.is_overdue(channel.waiting_since + 10_000)

        channel.total_outbufs_len = 1
        assert not channel.is_overdue(channel.last_activity + limits.STALLED_SECONDS)
        assert channel.is_overdue(channel.last_activity + limits.STALLED_SECONDS + 1)


def test_a_newcomer_is_let_in_in_place_of_those_that_have_waited_longest(serve: Serve) -> None:
    running = serve(echo, connections=16)
    waiting = [running.call(HALF_HEAD) for _ in range(16)]

    assert running.call(GET).answer().status == 200

    assert waiting[0].is_closed()
    assert len(running.server.active_channels) <= 16
    assert waiting[-1].send(b"1\r\nContent-Length: 0\r\n\r\n").answer().status == 200


def test_a_request_that_is_being_answered_is_never_closed_for_a_newcomer(serve: Serve) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            begun.set()
            go_on.wait(20)
        return echo(environ, start_response)

    running = serve(slow, connections=2)
    served = running.call(GET.replace(b"/health/live", b"/slow"))
    assert begun.wait(20)
    for _ in range(5):
        assert running.call(GET).answer().status == 200
    go_on.set()
    assert served.answer().status == 200


def test_what_was_begun_is_answered_before_the_server_ends(serve: Serve) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        go_on.wait(20)
        return echo(environ, start_response)

    running = serve(slow)
    idle, served = running.call(), running.call(GET)
    assert begun.wait(20)

    running.server.stop()

    assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        running.call()
    go_on.set()
    assert served.answer().status == 200
    assert served.is_closed()


def _channel(sock: socket.socket) -> Channel:
    """A connection of a server that never serves."""

    class Idle:
        active_channels: dict[int, Any] = {}
        tasks: list[Any] = []

        def add_task(self, task: Any) -> None:
            self.tasks.append(task)

    from partner_platform.server.serving import _adjustments

    return Channel(Idle(), sock, ("127.0.0.1", 1), _adjustments(1, 1), map={})
