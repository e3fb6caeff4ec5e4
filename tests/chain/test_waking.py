"""Waking the driver: one that listens is woken, else a task is queued; the broker is nobody's error."""

from collections.abc import Iterator

import pytest
from django_redis import get_redis_connection

from chain import tasks
from chain.settlement import waking
from partner_platform.celery import app
from partner_platform.core.redis import wakeup


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


def queued() -> int:
    """Messages of Celery's."""
    length: int = get_redis_connection("default").llen("celery")
    return length


def test_the_task_that_is_queued_is_the_one_that_drives() -> None:
    assert app.tasks[waking.TASK].run is tasks.drive_settlement.run


@pytest.mark.parametrize(("listens", "started"), [(True, 0), (False, 1)])
def test_a_driver_is_started_only_where_none_listens(listens: bool, started: int) -> None:
    if listens:
        wakeup.listen(waking.DRIVER, waking.LISTENING_SECONDS)
    waking.wake_driver()
    assert queued() == started
    assert get_redis_connection("default").llen(f"wake:{waking.DRIVER}") == 1


@pytest.mark.parametrize("error", [OSError("down"), ConnectionError("reset")])
def test_a_broker_that_is_down_is_nobodys_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(app, "send_task", fail)
    waking.wake_driver()
    assert f"could not start the driver, the sweep will: {error}" in caplog.text
