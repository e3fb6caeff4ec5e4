"""A reading that many ask for at once: one reads, the others wait for it, not for ever."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache as django_cache
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from chain.rpc import single_flight
from chain.rpc.single_flight import once
from partner_platform.core.redis.lock import Lock, token_of_holder

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
    assert token_of_holder("key") is None
    assert 0 < cache.ttl("key") <= 60


@pytest.fixture
def theirs() -> Lock:
    """Another process reads the value at this moment."""
    lock = Lock("key", seconds=60, token="theirs")
    assert lock.take()
    return lock


def test_who_comes_second_waits_for_the_first_and_does_not_read(clock: Clock, theirs: Lock) -> None:
    clock.at[3] = lambda: cache.set("key", ("theirs",), 60)
    reading = Reading()
    assert once("key", 60, reading) == "theirs"
    assert (reading.count, clock.slept) == (0, [single_flight.POLL_SECONDS] * 3)
    assert token_of_holder("key") == "theirs"


def test_who_waited_three_seconds_reads_alone_and_releases_nobodys_lock(clock: Clock, theirs: Lock) -> None:
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert reading.count == 1
    assert clock.now == pytest.approx(103.0, abs=2 * single_flight.POLL_SECONDS)
    assert token_of_holder("key") == "theirs"


def test_where_the_first_fails_the_next_one_reads(clock: Clock, theirs: Lock) -> None:
    clock.at[2] = theirs.release
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert (reading.count, len(clock.slept)) == (1, 2)
    assert token_of_holder("key") is None


def test_a_value_that_came_just_before_our_turn_is_taken(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Lock.take

    def take_late(lock: Lock) -> bool:
        cache.set("key", ("theirs",), 60)
        return take(lock)

    monkeypatch.setattr(Lock, "take", take_late)
    reading = Reading()
    assert once("key", 60, reading) == "theirs"
    assert reading.count == 0
    assert token_of_holder("key") is None


def test_what_a_reading_raises_reaches_its_caller_and_is_not_kept(clock: Clock) -> None:
    def fail() -> object:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        once("key", 60, fail)
    assert (cache.get("key"), token_of_holder("key")) == (None, None)
    assert once("key", 60, Reading()) == "read"


@pytest.mark.parametrize("broken", ["cache.get", "cache.set", "redis.set", "redis.evalsha"])
def test_without_the_cache_everybody_reads(clock: Clock, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Whichever of its calls fails: the look, the keeping, the lock's taking or its release."""

    def down(*_: Any, **__: Any) -> Any:
        raise RedisError("down")

    where, name = broken.split(".")
    monkeypatch.setattr(cache if where == "cache" else get_redis_connection("default"), name, down)
    reading = Reading()
    assert once("key", 60, reading) == "read"
    assert reading.count == 1


def test_a_reader_that_was_killed_is_waited_for_no_longer_than_its_lock_lives(clock: Clock) -> None:
    left: list[int] = []

    def read() -> str:
        left.append(get_redis_connection("default").pttl("lock:key"))
        return "read"

    assert once("key", 60, read) == "read"
    assert 0 < left[0] <= single_flight.WAIT_SECONDS * 1_000
