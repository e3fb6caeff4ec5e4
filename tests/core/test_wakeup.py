"""Waking a process that waits, in a real Redis."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from partner_platform.core.redis import wakeup


class Clock:
    """Time that passes only while somebody waits; what was waited for, and whether it was woken."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []
        self.woken: list[bool] = []

    def blpop(self, keys: list[str], timeout: float) -> None:
        is_woken = get_redis_connection("default").lpop(keys[0]) is not None
        self.waited.append(timeout)
        self.woken.append(is_woken)
        self.now += 0 if is_woken else timeout


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wakeup, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(get_redis_connection("default"), "blpop", clock.blpop)
    return clock


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Redis is down: for how long was slept instead."""

    def down(_: str) -> Any:
        raise RedisError("down")

    slept: list[float] = []
    monkeypatch.setattr(wakeup, "get_redis_connection", down)
    monkeypatch.setattr(wakeup, "time", SimpleNamespace(monotonic=lambda: 100.0 + sum(slept), sleep=slept.append))
    return slept


def test_waking_tells_whether_somebody_listens() -> None:
    assert wakeup.wake_listener("work") is False
    wakeup.listen("work", 3)
    assert wakeup.wake_listener("work") is True
    assert wakeup.wake_listener("other work") is False
    wakeup.stop_listening("work")
    assert wakeup.wake_listener("work") is False


def test_who_listens_is_missed_within_seconds_of_its_death() -> None:
    wakeup.listen("work", 3)
    assert 0 < get_redis_connection("default").pttl("listening:work") <= 3_000


@pytest.mark.parametrize("wake", [wakeup.wake, wakeup.wake_listener])
def test_a_wake_up_that_came_before_the_wait_is_not_lost_and_several_wake_once(wake: Any) -> None:
    for _ in range(5):
        wake("work")
    redis = get_redis_connection("default")
    assert redis.llen("wake:work") == 1
    assert 0 < redis.ttl("wake:work") <= wakeup.LIFETIME_SECONDS
    began = time.monotonic()
    wakeup.wait("work", 30)
    assert time.monotonic() - began < 20
    assert redis.llen("wake:work") == 0


def test_each_name_is_woken_for_itself() -> None:
    wakeup.wake("one", "two")
    wakeup.wait("one", 30)
    redis = get_redis_connection("default")
    assert (redis.llen("wake:one"), redis.llen("wake:two")) == (0, 1)


def test_a_wait_that_nobody_ends_ends_by_itself() -> None:
    wakeup.wait("work", 0.05)
    wakeup.wait("work", 0)
    wakeup.wait("work", -1)


@pytest.mark.parametrize(("seconds", "timeout"), [(30, 30), (0.25, 0.25), (0, 0.01), (-1, 0.01)])
def test_no_wait_is_for_ever(clock: Clock, seconds: float, timeout: float) -> None:
    """To Redis a time-out of 0 is none at all."""
    wakeup.wait("work", seconds)
    assert clock.waited == [timeout]


def test_who_was_woken_before_it_waits_looks_at_once(clock: Clock) -> None:
    wakeup.wake("work")
    assert wakeup.wait_until("work", lambda: "done", 20) == "done"
    assert (clock.woken, clock.now) == ([True], 100.0)


def test_who_waits_looks_at_each_wake_up_and_every_two_seconds_without_one(clock: Clock) -> None:
    answers = iter([None, None, "done"])
    wakeup.wake("work")
    assert wakeup.wait_until("work", lambda: next(answers), 20) == "done"
    assert (clock.woken, clock.waited) == ([True, False, False], [2.0, 2.0, 2.0])


def test_who_waited_for_as_long_as_it_would_has_nothing(clock: Clock) -> None:
    looks: list[float] = []
    assert wakeup.wait_until("work", lambda: looks.append(clock.now), 5) is None
    assert (clock.waited, looks) == ([2.0, 2.0, 1.0], [102.0, 104.0, 105.0])


def test_who_does_not_wait_does_not_look(clock: Clock) -> None:
    assert wakeup.wait_until("work", lambda: "done", 0) is None
    assert clock.waited == []


def test_without_redis_nobody_listens_nobody_is_woken_and_a_wait_is_a_sleep(slept: list[float]) -> None:
    assert wakeup.wake_listener("work") is False
    wakeup.wake("one", "two")
    wakeup.listen("work", 3)
    wakeup.stop_listening("work")
    assert slept == []
    wakeup.wait("work", 0.25)
    assert slept == [0.25]
    assert wakeup.wait_until("work", lambda: "done" if len(slept) == 3 else None, 20) == "done"
    assert slept == [0.25, 2.0, 2.0]
