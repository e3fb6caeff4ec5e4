"""A reading that many ask for at once: one reads, the others wait for it, not for ever."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache as django_cache
from redis.exceptions import RedisError

from chain.rpc import single_flight
from chain.rpc.single_flight import once

cache: Any = django_cache  # redis's, which knows how long a key lives


class Clock:
    """Time that passes only while somebody sleeps; at a moment of it something may happen."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.at: dict[int, Any] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.at.get(len(self.slept), lambda: None)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(single_flight, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


class Reading:
    """A value that counts how often it was read."""

    def __init__(self, value: object = "read") -> None:
        self.value, self.count = value, 0

    def __call__(self) -> object:
        self.count += 1
        return self.value


@pytest.mark.parametrize("value", ["read", None, 0])
def test_a_value_is_read_once_and_kept(clock: Clock, value: object) -> None:
    reading = Reading(value)
    assert [once("key", 60, reading) for _ in range(3)] == [value] * 3
    assert (reading.count, clock.slept) == (1, [])
    assert cache.get("key:flight") is None
    assert 0 < cache.ttl("key") <= 60


def test_who_comes_second_waits_for_the_first_and_does_not_read(clock: Clock) -> None:
    cache.add("key:flight", 1, 60)
    clock.at[3] = lambda: cache.set("key", ("theirs",), 60)
    reading = Reading()
    assert once("key", 60, reading) == "theirs"
    assert (reading.count, clock.slept) == (0, [single_flight.POLL_SECONDS] * 3)
    assert cache.get("key:flight") == 1  # it is theirs to release


def test_who_waited_three_seconds_reads_alone(clock: Clock) -> None:
    cache.add("key:flight", 1, 60)
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert reading.count == 1
    assert clock.now == pytest.approx(103.0, abs=2 * single_flight.POLL_SECONDS)


def test_where_the_first_fails_the_next_one_reads(clock: Clock) -> None:
    cache.add("key:flight", 1, 60)
    clock.at[2] = lambda: cache.delete("key:flight")
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert (reading.count, len(clock.slept)) == (1, 2)
    assert cache.get("key:flight") is None


def test_a_value_that_came_just_before_our_turn_is_taken(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    add = cache.add

    def add_late(*args: Any, **kwargs: Any) -> Any:
        cache.set("key", ("theirs",), 60)
        return add(*args, **kwargs)

    monkeypatch.setattr(cache, "add", add_late)
    reading = Reading()
    assert once("key", 60, reading) == "theirs"
    assert reading.count == 0
    assert cache.get("key:flight") is None


def test_what_a_reading_raises_reaches_its_caller_and_is_not_kept(clock: Clock) -> None:
    def fail() -> object:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        once("key", 60, fail)
    assert (cache.get("key"), cache.get("key:flight")) == (None, None)
    assert once("key", 60, Reading()) == "read"


@pytest.mark.parametrize("broken", ["get", "set", "delete"])
def test_without_the_cache_everybody_reads(clock: Clock, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise RedisError("down")

    monkeypatch.setattr(cache, broken, down)
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert reading.count == 1


def test_a_reader_that_was_killed_is_waited_for_no_longer_than_its_mark_lives(clock: Clock) -> None:
    marks: list[int] = []

    def read() -> str:
        marks.append(cache.ttl("key:flight"))
        return "read"

    assert once("key", 60, read) == "read"
    assert 0 < marks[0] <= single_flight.WAIT_SECONDS
