"""Refused calls without a row are counted: all of them, once, under a bounded number of addresses."""

import datetime as dt
from typing import Any

import pytest
from django.db.models import Sum
from django_redis import get_redis_connection

from audit.calls import refused_calls
from audit.calls.refused_calls import Pending
from audit.models import RefusedCalls
from audit.tasks import record_refused_calls
from partner_platform.core import clock

pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 1, 5, 12, 0, 30, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    get_redis_connection("default").flushdb()
    monkeypatch.setattr(clock, "now", lambda: NOON)


def counted(*calls: tuple[str, int]) -> Pending:
    pending = Pending()
    for address, times in calls:
        for _ in range(times):
            pending.note(address)
    return pending


def rows() -> list[tuple[dt.datetime, str, int]]:
    return list(RefusedCalls.objects.order_by("timestamp", "address").values_list("timestamp", "address", "calls"))


def test_two_processes_count_together_and_a_minute_has_a_row_for_each_address() -> None:
    for process in (counted(("203.0.113.9", 3), ("2001:db8::", 1)), counted(("203.0.113.9", 2))):
        process.push_due()
    assert record_refused_calls() == 2
    noon = NOON.replace(second=0)
    assert rows() == [(noon, "2001:db8::", 1), (noon, "203.0.113.9", 5)]
    assert record_refused_calls() == 0
    assert not get_redis_connection("default").keys("refused-calls:*")


def test_redis_is_told_once_a_second() -> None:
    pending = counted(("203.0.113.9", 1))
    pending.push_due()
    pending.note("203.0.113.9")
    pending.push_due()
    assert sum(pending._calls.values()) == 1


def test_what_redis_does_not_take_is_kept(settings: Any) -> None:
    caches = settings.CACHES
    settings.CACHES = {"default": {**caches["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    pending = counted(("203.0.113.9", 4))
    pending.push_due()
    assert sum(pending._calls.values()) == 4
    settings.CACHES = caches
    pending._due = 0.0
    pending.push_due()
    record_refused_calls()
    assert [calls for _, _, calls in rows()] == [4]


class Killed(BaseException):
    """As a process that is no more."""


KILLED = [("_rows", False), ("run_in_transaction", False), ("run_in_transaction", True)]


@pytest.mark.parametrize(("place", "is_done"), KILLED)
def test_a_run_that_was_killed_is_done_again_and_counts_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, place: str, is_done: bool
) -> None:
    counted(("203.0.113.9", 3)).push_due()

    def die(*_: Any) -> Any:
        raise Killed

    def commit_and_die(act: Any) -> Any:
        act()
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(refused_calls, place, commit_and_die if is_done else die)
        record_refused_calls()
    counted(("203.0.113.9", 1)).push_due()
    record_refused_calls()
    assert RefusedCalls.objects.aggregate(all=Sum("calls"))["all"] == 4


def test_a_process_names_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_calls, "MAX_ADDRESSES", 3)
    counted(*[(f"203.0.113.{number}", 1) for number in range(10)]).push_due()
    record_refused_calls()
    assert [(address, calls) for _, address, calls in rows()] == [
        ("", 7),
        ("203.0.113.0", 1),
        ("203.0.113.1", 1),
        ("203.0.113.2", 1),
    ]


def test_redis_keeps_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_calls, "MAX_FIELDS", 4)
    counted(*[(f"203.0.113.{number}", 1) for number in range(10)]).push_due()
    assert get_redis_connection("default").hlen(refused_calls.OPEN) == 5
    record_refused_calls()
    assert rows()[0][1:] == ("", 6)


def test_the_table_gets_the_addresses_with_the_most_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_calls, "RECORDED_ADDRESSES", 2)
    counted(("203.0.113.1", 1), ("203.0.113.2", 5), ("203.0.113.3", 2), ("203.0.113.4", 9)).push_due()
    record_refused_calls()
    assert [(address, calls) for _, address, calls in rows()] == [("", 3), ("203.0.113.2", 5), ("203.0.113.4", 9)]
