"""Celery's tasks of the loans: each sweep at one worker at a time, by a lock that ends by itself."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisDown

from loans import tasks
from partner_platform.core.redis import lock
from partner_platform.core.redis.lock import Lock, token_of_holder

SWEEPS = [
    ("settle_loans", "settle_due", tasks.SETTLING, tasks.SETTLING_SECONDS),
    ("follow_chain", "follow_now", tasks.FOLLOWING, tasks.FOLLOWING_SECONDS),
    ("reconcile_books", "_reconcile_due", tasks.RECONCILING, tasks.RECONCILING_SECONDS),
]
each_sweep = pytest.mark.parametrize(("task", "work", "name", "seconds"), SWEEPS, ids=[sweep[0] for sweep in SWEEPS])


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@each_sweep
def test_a_sweep_holds_its_lock_while_it_works_and_frees_it(
    monkeypatch: pytest.MonkeyPatch, task: str, work: str, name: str, seconds: int
) -> None:
    left: list[int] = []

    def do(**_: object) -> int:
        left.append(get_redis_connection("default").pttl(f"lock:{name}"))
        return 3

    monkeypatch.setattr(tasks, work, do)
    getattr(tasks, task)()
    assert (seconds - 2) * 1_000 < left[0] <= seconds * 1_000
    assert token_of_holder(name) is None


@each_sweep
def test_a_sweep_leaves_at_once_where_another_worker_is_at_it(
    monkeypatch: pytest.MonkeyPatch, task: str, work: str, name: str, seconds: int
) -> None:
    done: list[str] = []
    monkeypatch.setattr(tasks, work, lambda **_: done.append(work))
    assert Lock(name, seconds=seconds, token="another").take()
    getattr(tasks, task)()
    assert (done, token_of_holder(name)) == ([], "another")


@each_sweep
def test_a_sweep_that_took_too_long_does_not_release_the_next_ones_lock(
    monkeypatch: pytest.MonkeyPatch, task: str, work: str, name: str, seconds: int
) -> None:
    def take_too_long(**_: object) -> int:
        get_redis_connection("default").delete(f"lock:{name}")
        assert Lock(name, seconds=seconds, token="next").take()
        return 0

    monkeypatch.setattr(tasks, work, take_too_long)
    getattr(tasks, task)()
    assert token_of_holder(name) == "next"


@each_sweep
def test_without_redis_a_sweep_is_done_later(
    monkeypatch: pytest.MonkeyPatch, task: str, work: str, name: str, seconds: int
) -> None:
    def down(_: str) -> Any:
        raise RedisDown("down")

    done: list[str] = []
    monkeypatch.setattr(tasks, work, lambda **_: done.append(work))
    monkeypatch.setattr(lock, "get_redis_connection", down)
    getattr(tasks, task)()
    assert done == []


def test_a_sweep_of_many_operations_keeps_its_lock_and_gets_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    redis, name = get_redis_connection("default"), f"lock:{tasks.SETTLING}"
    left: list[int] = []

    def settle_many(*, at_each_step: Callable[[], None]) -> int:
        started = time.monotonic()
        monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: started + tasks.SETTLING_SECONDS - 1))
        redis.pexpire(name, 1_000)
        at_each_step()
        left.append(redis.pttl(name))
        return 0

    monkeypatch.setattr(tasks, "settle_due", settle_many)
    tasks.settle_loans()
    assert (tasks.SETTLING_SECONDS - 1) * 1_000 < left[0] <= tasks.SETTLING_SECONDS * 1_000
    assert token_of_holder(tasks.SETTLING) is None


def test_a_sweep_whose_lock_another_one_has_by_now_ends_and_leaves_the_rest_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    went_on: list[bool] = []

    def settle_slowly(*, at_each_step: Callable[[], None]) -> int:
        started = time.monotonic()
        monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: started + 2 * tasks.SETTLING_SECONDS))
        get_redis_connection("default").delete(f"lock:{tasks.SETTLING}")
        assert Lock(tasks.SETTLING, seconds=60, token="next").take()
        at_each_step()
        went_on.append(True)
        return 1

    monkeypatch.setattr(tasks, "settle_due", settle_slowly)
    assert tasks.settle_loans() == 0
    assert (went_on, token_of_holder(tasks.SETTLING)) == ([], "next")
