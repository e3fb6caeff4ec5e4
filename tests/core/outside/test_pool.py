"""Connections are kept for the next request to the same origin, and no longer than they are good for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from partner_platform.core.outside import Kind, OutsideError, connections, pool
from tests.core.outside.receivers import JSON, OK, Caller, Names, answering, answering_once, outside_client, receiver
from tests.support.waiting import eventually


def test_requests_to_one_origin_share_a_connection() -> None:
    with receiver(answering(OK)) as listening, outside_client() as client:
        for path in ("/a", "/b?c", "/a"):
            response = client.post(f"http://127.0.0.1:{listening.port}{path}", body=b"{}", headers=JSON)
            assert (response.status, response.body) == (200, b"ok")
        assert listening.connections == 1
        assert len(listening.requests) == 3


def test_requests_to_another_name_of_the_same_server_do_not() -> None:
    names = Names({"one": ["127.0.0.1"], "two": ["127.0.0.1"]})
    with receiver(answering(OK)) as listening, outside_client(names) as client:
        for name in ("one", "two", "one", "two"):
            client.post(f"http://{name}:{listening.port}/", body=b"{}", headers=JSON)
        assert listening.connections == 2
    assert names.asked == ["one", "two"]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ],
    ids=["close", "HTTP/1.0", "no length"],
)
def test_a_connection_that_the_server_will_close_is_not_kept(response: bytes) -> None:
    with receiver(answering_once(response)) as listening, outside_client() as client:
        for _ in range(2):
            assert client.post(listening.url, body=b"{}", headers=JSON).body == b"ok"
            assert len(client._pool) == 0
        assert listening.connections == 2


def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    with receiver(answering_once(OK)) as listening, outside_client() as client:
        client.post(listening.url, body=b"{}", headers=JSON)
        [kept] = client._pool._idle
        eventually(lambda: not kept.is_usable)
        assert client.post(listening.url, body=b"{}", headers=JSON).status == 200
        assert listening.connections == 2


def test_a_second_response_that_nobody_asked_for_is_no_answer_to_the_next_request() -> None:
    with receiver(answering(OK + OK.replace(b"ok", b"no") * 5000)) as listening, outside_client() as client:
        client.post(listening.url, body=b"{}", headers=JSON)
        [kept] = client._pool._idle
        eventually(lambda: not kept.is_usable)
        assert client.post(listening.url, body=b"{}", headers=JSON).body == b"ok"
        assert listening.connections == 2


def test_a_request_that_may_have_been_acted_on_is_not_sent_again() -> None:
    def answer(caller: Caller) -> None:
        caller.read_request()
        caller.send(OK)
        caller.read_request()

    with receiver(answer) as listening, outside_client() as client:
        client.post(listening.url, body=b"1", headers=JSON)
        with pytest.raises(OutsideError) as refused:
            client.post(listening.url, body=b"2", headers=JSON)
        assert [request[-1:] for request in listening.requests] == [b"1", b"2"]
    assert refused.value.kind is Kind.PROTOCOL
    assert str(refused.value) == "127.0.0.1 closed the connection before its response was complete."


def test_a_connection_has_a_greatest_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MAX_AGE_SECONDS", 0.0)
    with receiver(answering(OK)) as listening, outside_client() as client:
        for _ in range(2):
            client.post(listening.url, body=b"{}", headers=JSON)
        assert listening.connections == 2


def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answering(OK)) as one, receiver(answering(OK)) as other, outside_client() as client:
        client.post(one.url, body=b"{}", headers=JSON)
        [kept] = client._pool._idle
        monkeypatch.setattr(pool, "IDLE_SECONDS", 0.0)
        client.post(other.url, body=b"{}", headers=JSON)
        assert not kept.is_open
        assert len(client._pool) == 0


@pytest.mark.parametrize(("limit", "kept"), [("MAX_OF_ORIGIN", 4), ("MAX_IN_ALL", 2)])
def test_idle_connections_are_limited_in_number(monkeypatch: pytest.MonkeyPatch, limit: str, kept: int) -> None:
    """Four origins, two of each at most; or two in all. The newest stay."""
    monkeypatch.setattr(pool, limit, 1 if limit == "MAX_OF_ORIGIN" else 2)
    both = threading.Barrier(2, timeout=10)

    def answer(caller: Caller) -> None:
        while caller.read_request():
            both.wait()  # two at once, so that each has a connection of its own
            caller.send(OK)

    names = Names({name: ["127.0.0.1"] for name in "abcd"})
    with receiver(answer) as listening, outside_client(names) as client, ThreadPoolExecutor(2) as threads:
        for name in "abcd":
            urls = [f"http://{name}:{listening.port}/"] * 2
            assert len(list(threads.map(lambda url: client.post(url, body=b"{}", headers=JSON), urls))) == 2
        assert listening.connections == 8
        assert len(client._pool) == kept
        assert list(client._pool._of_origin)[-1] == ("http", "d", listening.port)


def test_threads_get_the_responses_of_their_own_requests() -> None:
    def answer(caller: Caller) -> None:
        while request := caller.read_request():
            body = request.partition(b"\r\n\r\n")[2]
            caller.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with receiver(answer) as listening, outside_client() as client, ThreadPoolExecutor(16) as threads:
        bodies = [b"%d" % number for number in range(400)]
        answers = list(threads.map(lambda body: client.post(listening.url, body=body, headers=JSON).body, bodies))
        assert answers == bodies
        assert listening.connections <= 16
        assert 1 <= len(client._pool) <= 16
