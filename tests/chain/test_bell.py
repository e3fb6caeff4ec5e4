"""The bell that wakes a driver, in a real Redis."""

import time

import pytest
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from chain import hooks
from chain.settlement import bell


@pytest.fixture(autouse=True)
def _silence() -> None:
    get_redis_connection("default").flushdb()


def test_a_ring_is_enough_where_somebody_listens_and_only_there() -> None:
    assert bell.ring() is False
    bell.listen()
    assert bell.ring() is True
    bell.stop_listening()
    assert bell.ring() is False


def test_who_listens_says_so_again_within_seconds() -> None:
    bell.listen()
    assert 0 < get_redis_connection("default").pttl("chain:driver-listening") <= bell.LISTENING_SECONDS * 1_000


def test_however_often_it_rang_a_sleeper_wakes_once() -> None:
    for _ in range(5):
        bell.ring()
    redis = get_redis_connection("default")
    assert redis.llen("chain:bell") == 1
    assert 0 < redis.ttl("chain:bell") <= bell.BELL_LIFETIME_SECONDS
    began = time.monotonic()
    bell.sleep(30)
    assert time.monotonic() - began < 20
    assert redis.llen("chain:bell") == 0


def test_a_sleep_without_a_ring_ends_by_itself() -> None:
    bell.sleep(0.05)
    bell.sleep(0)
    bell.sleep(-1)


@pytest.mark.parametrize(("seconds", "timeout"), [(30, 30), (0.25, 0.25), (0, 0.01), (-1, 0.01)])
def test_no_sleep_is_for_ever(monkeypatch: pytest.MonkeyPatch, seconds: float, timeout: float) -> None:
    """To Redis a time-out of 0 is none at all."""
    asked: list[object] = []

    class Redis:
        def blpop(self, keys: list[str], timeout: float) -> None:
            asked.append((keys, timeout))

    monkeypatch.setattr(bell, "get_redis_connection", lambda _: Redis())
    bell.sleep(seconds)
    assert asked == [(["chain:bell"], timeout)]


def test_without_redis_nobody_listens_and_sleep_is_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: str) -> object:
        raise RedisError("down")

    slept: list[float] = []
    monkeypatch.setattr(bell, "get_redis_connection", down)
    monkeypatch.setattr("chain.settlement.bell.time.sleep", slept.append)
    assert bell.ring() is False
    bell.listen()
    bell.stop_listening()
    bell.sleep(0.25)
    assert slept == [0.25]


def test_a_listener_is_told_once_and_a_failing_one_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[str]] = []

    def fail(_: list[str]) -> None:
        raise RuntimeError("its own trouble")

    monkeypatch.setattr(hooks, "_callbacks", [])
    for callback in (fail, told.append, told.append):
        hooks.on_settled(callback)
    hooks.announce_settled(["one", "two"])
    assert told == [["one", "two"]]
    assert "a listener failed on 2 settled operations" in caplog.text


def test_a_rollback_is_told_once_to_everybody_and_stops_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError("its own trouble")

    monkeypatch.setattr(hooks, "_rollback_callbacks", [])
    for callback in (told.append, told.append, fail):
        hooks.on_rollback(callback)
    with pytest.raises(RuntimeError, match="its own trouble"):
        hooks.announce_rollback(7)
    assert told == [7]
