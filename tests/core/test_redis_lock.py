"""The lock that processes share, in a real Redis: one holder, for a while, and nobody releases another's."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisDown
from redis.lock import Lock as RedisLock

from partner_platform.core.redis import lock
from partner_platform.core.redis.lock import Lock, LockLost, held, token_of_holder
from tests.core.concurrency import at_once

KEY = "lock:work"


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: str) -> Any:
        raise RedisDown("down")

    monkeypatch.setattr(lock, "get_redis_connection", down)


def mine(**fields: Any) -> Lock:
    """The lock, held by us."""
    taken = Lock("work", **{"seconds": 60, **fields})
    assert taken.take() is True
    return taken


def expire() -> None:
    """Its time is over."""
    get_redis_connection("default").delete(KEY)


def test_of_eight_who_want_it_at_once_one_has_it() -> None:
    assert sorted(at_once(8, lambda _: Lock("work", seconds=60).take())) == [False] * 7 + [True]


def test_it_is_free_again_after_its_release_and_another_name_is_another_lock() -> None:
    first = mine()
    assert Lock("work", seconds=60).take() is False
    assert Lock("other work", seconds=60).take() is True
    first.release()
    assert Lock("work", seconds=60).take() is True


def test_who_lost_it_does_not_release_the_next_holders(caplog: pytest.LogCaptureFixture) -> None:
    slow = mine(token="slow")
    expire()
    mine(token="next")
    with caplog.at_level(logging.INFO):
        slow.release()
    assert token_of_holder("work") == "next"
    assert "the lock work was held for more than 60 seconds: it is not ours any more" in caplog.text


def test_who_never_had_it_does_not_release_it_and_nobody_releases_twice() -> None:
    first = mine(token="first")
    late = Lock("work", seconds=60)
    assert late.take() is False
    late.release()
    assert token_of_holder("work") == "first"
    first.release()
    mine(token="next")
    first.release()
    assert token_of_holder("work") == "next"


def test_who_lost_it_does_not_prolong_the_next_holders() -> None:
    slow = mine(seconds=600)
    expire()
    mine(seconds=5)
    slow.prolong()
    assert 0 < get_redis_connection("default").pttl(KEY) <= 5_000


def test_its_holder_has_it_for_the_whole_time_again() -> None:
    redis = get_redis_connection("default")
    first = mine(seconds=60)
    redis.pexpire(KEY, 1_000)
    first.prolong()
    assert 59_000 < redis.pttl(KEY) <= 60_000


def test_a_loop_prolongs_it_once_a_third_of_its_time_is_over_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, now = get_redis_connection("default"), [100.0]
    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    first = mine(seconds=60)
    redis.pexpire(KEY, 1_000)
    now[0] += 19
    first.keep()
    assert redis.pttl(KEY) <= 1_000
    now[0] += 2
    first.keep()
    assert 59_000 < redis.pttl(KEY) <= 60_000
    redis.pexpire(KEY, 1_000)
    first.keep()
    assert redis.pttl(KEY) <= 1_000


def test_a_loop_that_lost_it_is_told_and_does_not_prolong_the_next_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    slow = mine(seconds=60)
    expire()
    mine(seconds=5, token="next")
    now[0] += 21
    with pytest.raises(LockLost, match="the lock work is not ours any more"):
        slow.keep()
    slow.release()
    assert token_of_holder("work") == "next"
    assert 0 < get_redis_connection("default").pttl(KEY) <= 5_000


def test_a_loop_goes_on_where_redis_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise RedisDown("down")

    now = [100.0]
    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    first = mine()
    now[0] += 21
    monkeypatch.setattr(get_redis_connection("default"), "evalsha", down)
    first.keep()
    assert "could not prolong the lock work: down" in caplog.text


def test_a_killed_holders_lock_ends_by_itself() -> None:
    mine(seconds=0.5)
    assert 0 < get_redis_connection("default").pttl(KEY) <= 500


@pytest.mark.parametrize("without_redis", [True, False])
def test_one_that_was_taken_although_the_answer_was_lost_is_released_like_any_other(
    monkeypatch: pytest.MonkeyPatch, without_redis: bool
) -> None:
    take = RedisLock.do_acquire

    def lose_the_answer(self: RedisLock, token: str) -> bool:
        take(self, token)
        raise RedisDown("the connection was lost")

    monkeypatch.setattr(RedisLock, "do_acquire", lose_the_answer)
    with held("work", seconds=3_600, without_redis=without_redis) as is_ours:
        assert (is_ours is not None) is without_redis
        assert token_of_holder("work") is not None
    assert token_of_holder("work") is None


def test_nobody_holds_a_free_lock() -> None:
    assert token_of_holder("work") is None
    mine(token="me")
    assert token_of_holder("work") == "me"


def test_one_is_within_at_a_time_and_what_it_raises_frees_the_lock() -> None:
    with pytest.raises(ValueError, match="its own trouble"), held("work", seconds=60, without_redis=False) as is_ours:
        assert is_ours is not None
        with held("work", seconds=60, without_redis=True) as is_theirs:
            assert is_theirs is None
        assert token_of_holder("work") is not None
        raise ValueError("its own trouble")
    assert token_of_holder("work") is None


@pytest.mark.usefixtures("no_redis")
@pytest.mark.parametrize("answer", [True, False])
def test_without_redis_the_caller_says_whether_the_work_is_done(answer: bool, caplog: pytest.LogCaptureFixture) -> None:
    with held("work", seconds=60, without_redis=answer) as is_ours:
        assert (is_ours is not None) is answer
    assert "no lock for work: down" in caplog.text


def test_a_redis_that_goes_meanwhile_is_no_error_of_the_holder(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise RedisDown("down")

    first = mine()
    monkeypatch.setattr(get_redis_connection("default"), "evalsha", down)
    first.prolong()
    first.release()
    assert "could not prolong the lock work: down" in caplog.text
    assert "could not release the lock work, it ends by itself: down" in caplog.text
