"""Accepted credentials get a worker thread first; strangers take few, and are refused where too many come."""

import select
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from partner_platform.core.web.acceptance import note_accepted
from partner_platform.server import request_queues
from tests.server.conftest import Running, Serve, echo

RIGHT = "Bearer pk_right"


class Gate:
    """An application that accepts one key, and keeps all others waiting until it is opened."""

    def __init__(self) -> None:
        self.opened, self.waiting, self.most = threading.Event(), threading.Semaphore(0), 0
        self._now, self._lock = 0, threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/health/live":
            return echo(environ, start_response)
        if environ.get("HTTP_AUTHORIZATION") == RIGHT:
            if environ["PATH_INFO"] == "/refused":
                start_response("401 Unauthorized", [("Content-Length", "0")])
                return [b""]
            note_accepted(environ)
            if environ["PATH_INFO"] != "/slow":
                return echo(environ, start_response)
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.waiting.release()
        self.opened.wait(20)
        with self._lock:
            self._now -= 1
        return echo(environ, start_response)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.waiting.acquire(timeout=20)


@pytest.fixture
def gate() -> Any:
    made = Gate()
    yield made
    made.opened.set()


def get(path: str = "/", authorization: str = "") -> bytes:
    credentials = f"Authorization: {authorization}\r\n" if authorization else ""
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{credentials}\r\n".encode()


def strangers(running: Running, count: int, authorization: str = "") -> list[Any]:
    return [running.call(get(f"/{number}", authorization)) for number in range(count)]


@pytest.mark.parametrize("authorization", ["", "Bearer pk_wrong"])
def test_a_known_key_is_answered_at_once_beside_any_number_of_strangers(
    serve: Serve, gate: Gate, authorization: str
) -> None:
    running = serve(gate, threads=16)
    assert running.call(get(authorization=RIGHT)).answer().status == 200
    waiting = strangers(running, 60, authorization)
    threads = request_queues.UNKNOWN_THREADS if authorization else request_queues.ANONYMOUS_THREADS
    gate.wait_for(threads)

    for _ in range(5):
        assert running.call(get(authorization=RIGHT)).answer().status == 200

    gate.opened.set()
    assert [caller.answer().status for caller in waiting] == [200] * 60
    assert gate.most == threads


def test_the_health_of_the_server_can_be_asked_while_strangers_fill_their_queues(serve: Serve, gate: Gate) -> None:
    running = serve(gate, threads=16)
    callers = strangers(running, request_queues.ANONYMOUS_THREADS + request_queues.ANONYMOUS_WAITING)
    callers += strangers(running, request_queues.UNKNOWN_THREADS, "Bearer pk_wrong")
    gate.wait_for(request_queues.ANONYMOUS_THREADS + request_queues.UNKNOWN_THREADS)

    assert [running.call(get("/health/live")).answer().status for _ in range(3)] == [200] * 3

    gate.opened.set()
    assert {caller.answer().status for caller in callers} == {200}


def test_the_process_says_that_it_lives_while_partners_take_all_threads_and_a_database_is_silent(
    serve: Serve, gate: Gate
) -> None:
    running = serve(gate, threads=3)
    callers = [running.call(get("/slow", RIGHT)) for _ in range(5)]
    gate.wait_for(3)
    callers += [running.call(get("/health/ready")) for _ in range(3)]
    gate.wait_for(1)

    assert [running.call(get("/health/live")).answer().status for _ in range(3)] == [200] * 3

    assert gate.most == 4
    gate.opened.set()
    assert {caller.answer().status for caller in callers} == {200}


def test_questions_for_the_health_take_one_thread(serve: Serve, gate: Gate) -> None:
    running = serve(gate, threads=16)
    callers = [running.call(get("/health/ready")) for _ in range(10)]
    gate.wait_for(1)
    assert running.call(get(authorization=RIGHT)).answer().status == 200
    gate.opened.set()
    assert [caller.answer().status for caller in callers] == [200] * 10
    assert gate.most == 1


def test_strangers_beyond_what_a_queue_holds_are_refused_at_once(serve: Serve, gate: Gate) -> None:
    running = serve(gate, threads=16)
    strangers(running, request_queues.ANONYMOUS_THREADS)
    gate.wait_for(request_queues.ANONYMOUS_THREADS)
    callers = strangers(running, request_queues.ANONYMOUS_WAITING + 10)

    refused: list[Any] = []
    while len(refused) < 10:
        waiting = [caller.socket for caller in callers if caller not in refused]
        ready = select.select(waiting, [], [], 20)[0]
        assert ready
        refused += [caller for caller in callers if caller.socket in ready]

    for caller in refused:
        answer = caller.answer()
        told = (answer.status, answer.envelope["code"], answer.headers["Retry-After"])
        assert told == (503, "overloaded", "1")
    gate.opened.set()
    assert {caller.answer().status for caller in callers if caller not in refused} == {200}
    assert len(refused) == 10


def test_a_key_that_is_accepted_takes_no_strangers_thread_while_its_call_waits(serve: Serve, gate: Gate) -> None:
    """Each first call of a key is a stranger's; a borrow then waits for its settlement."""
    running = serve(gate, threads=16)

    waiting = [running.call(get("/slow", RIGHT)) for _ in range(12)]

    gate.wait_for(12)
    gate.opened.set()
    assert [caller.answer().status for caller in waiting] == [200] * 12


def test_what_waits_with_a_key_that_is_accepted_goes_on_as_known() -> None:
    queue = request_queues.RequestQueues(4, threading.Condition())
    for number in range(2):
        queue.append(_channel(f"right {number}", RIGHT))
        queue.append(_channel(f"wrong {number}", "Bearer pk_wrong"))

    queue.remember(RIGHT)

    assert [queue.popleft()._channel.name for _ in range(4)] == ["right 0", "right 1", "wrong 0", "wrong 1"]


def test_a_key_that_is_refused_is_a_strangers_again(serve: Serve, gate: Gate) -> None:
    running = serve(gate, threads=16)
    running.call(get(authorization=RIGHT)).answer()
    queue = running.server.task_dispatcher.queue
    assert len(queue._credentials) == 1

    assert running.call(get("/refused", RIGHT)).answer().status == 401

    assert len(queue._credentials) == 0


def test_no_more_credentials_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queues, "MAX_KNOWN", 2)
    queue = request_queues.RequestQueues(4, threading.Condition())
    for key in ("a", "b", "a", "c"):
        queue.remember(key)

    assert list(queue._credentials) == [request_queues._hashed("a"), request_queues._hashed("c")]


def test_a_stranger_gets_its_turn_however_many_known_ones_wait() -> None:
    queue = request_queues.RequestQueues(4, threading.Condition())
    queue.remember(RIGHT)
    for number in range(20):
        queue.append(_channel(number, RIGHT))
    queue.append(_channel("stranger", ""))

    order = []
    for _ in range(21):
        turn = queue.popleft()
        order.append(turn._channel.name)
        turn.end()

    assert order.index("stranger") == request_queues.UNKNOWN_FIRST_EVERY - 1
    assert [name for name in order if name != "stranger"] == list(range(20))


def _channel(name: Any, authorization: str) -> Any:
    request = SimpleNamespace(error=None, path="/", headers={"AUTHORIZATION": authorization} if authorization else {})
    return SimpleNamespace(name=name, requests=[request])
