"""Writers of SQLite queue for its write lock, and never sleep with anything held that another one needs."""

import gc
import threading
import time

import pytest
from django.conf import settings
from django.db import OperationalError, connections

from audit.models import ApiLog
from partner_platform.core.database.transactions import atomic, run_in_transaction
from tests.core.concurrency import at_once

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("sqlite" not in settings.DATABASE_URL, reason="the queue is SQLite's"),
]


def write(name: str) -> ApiLog:
    return ApiLog.objects.create(
        endpoint=f"/{name}", method="GET", status_code=200, response_time=1, success=True, request_id="queue"
    )


def test_sixteen_threads_with_and_without_transactions_all_write():
    def act(number: int) -> None:
        for _ in range(10):
            run_in_transaction(lambda: [write(f"first-{number}"), write(f"second-{number}")])
            write(f"alone-{number}")

    at_once(16, act)

    assert ApiLog.objects.count() == 16 * 10 * 3


def test_a_failed_transaction_gives_its_turn_back():
    def fail() -> None:
        write("undone")
        raise RuntimeError("no")

    def act(number: int) -> None:
        with pytest.raises(RuntimeError):
            run_in_transaction(fail)
        write(f"kept-{number}")

    at_once(4, act)

    assert sorted(ApiLog.objects.values_list("endpoint", flat=True)) == [f"/kept-{number}" for number in range(4)]


def test_collecting_garbage_of_a_waiting_writers_connection_does_not_stop_the_one_that_holds_the_lock():
    """With SQLite's own busy handler this stood still until the time-out: each waited for what the other one held."""
    waits, goes_on = threading.Event(), threading.Event()
    garbage = []

    def waiting_writer() -> None:
        try:
            garbage.append(connections["default"].cursor())  # a statement of this thread's connection
            garbage[0].execute("SELECT 1")
            waits.set()
            write("waited")
        finally:
            connections.close_all()

    thread = threading.Thread(target=waiting_writer)
    began = time.monotonic()
    with atomic():
        write("first")
        thread.start()
        assert waits.wait(10)
        goes_on.wait(0.1)  # the other one is at the lock by now
        garbage.clear()
        gc.collect()
        write("second")
    thread.join(10)

    assert time.monotonic() - began < 10
    assert {row.endpoint for row in ApiLog.objects.all()} == {"/first", "/second", "/waited"}


def test_who_waits_longer_than_the_time_out_is_told_that_the_database_is_locked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "timeout", 0.2)
    errors = []

    def late_writer() -> None:
        try:
            write("late")
        except OperationalError as error:
            errors.append(str(error))
        finally:
            connections.close_all()

    with atomic():
        write("first")
        thread = threading.Thread(target=late_writer)
        thread.start()
        thread.join(10)

    assert errors == ["database is locked"]
    assert ApiLog.objects.count() == 1
