"""The feed has no gaps: a reader that goes on from the last number it saw gets each event exactly once."""

import datetime as dt
import uuid
from collections import Counter
from threading import Event as Flag
from typing import Any

import pytest

from events import numbering, selectors
from events.kinds import EventType
from events.models import Event
from events.services import NewEvent, record_events
from partner_platform.core.database.transactions import atomic, run_in_transaction
from tests.core.concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

PARTNER = uuid.uuid4()
WRITERS, EACH = 64, 5


def event(**about: Any) -> NewEvent:
    return NewEvent(type=EventType.WEBHOOK_TEST, partner_key=PARTNER, data={}, **about)


def numbers() -> list[int | None]:
    return [found.number for found in selectors.feed_of(PARTNER, after=0, limit=10_000)]


def read_feed(seen: list[uuid.UUID], after: int) -> int:
    """Number what is committed, and read on from `after`; returns the last number that was read."""
    numbering.number_events()
    for found in selectors.feed_of(PARTNER, after=after, limit=50):
        seen.append(found.pk)
        after = found.number or after
    return after


def test_64_writers_commit_while_a_reader_pages_and_it_gets_each_event_exactly_once() -> None:
    written: list[uuid.UUID] = []
    seen: list[uuid.UUID] = []
    ended = Flag()
    left = [WRITERS]

    def write() -> None:
        for _ in range(EACH):
            written.extend(found.pk for found in run_in_transaction(lambda: record_events([event()])))
        left[0] -= 1
        if not left[0]:
            ended.set()

    def read() -> None:
        after = 0
        while not ended.is_set():
            after = read_feed(seen, after)
        while (reached := read_feed(seen, after)) != after:
            after = reached

    at_once(WRITERS + 1, lambda number: read() if number == WRITERS else write())

    assert len(written) == WRITERS * EACH
    assert Counter(seen) == Counter(written)
    assert numbers() == list(range(1, WRITERS * EACH + 1))


def test_two_passes_at_once_give_each_event_one_number() -> None:
    record_events([event() for _ in range(120)])

    at_once(4, lambda _: numbering.number_events())

    assert numbers() == list(range(1, 121))
    assert selectors.newest_number() == 120


def test_an_event_that_was_rolled_back_is_in_no_feed() -> None:
    with pytest.raises(ZeroDivisionError), atomic():
        record_events([event()])
        raise ZeroDivisionError

    assert numbering.number_events() == 0
    assert not Event.objects.exists()


def test_a_loans_events_are_numbered_in_their_sequence_though_a_clock_went_back() -> None:
    loan, other = uuid.uuid4(), uuid.uuid4()
    first, between, second = (
        record_events([event(loan_id=of, sequence=sequence)])[0] for of, sequence in ((loan, 1), (other, 1), (loan, 2))
    )
    Event.objects.filter(pk=second.pk).update(created_at=first.created_at - dt.timedelta(seconds=5))

    numbering.number_events()

    found = selectors.feed_of(PARTNER, after=0, limit=10)
    assert [row.pk for row in found] == [first.pk, second.pk, between.pk]


def test_a_pass_numbers_a_loans_earlier_event_with_its_later_one_though_it_lies_behind_the_page(monkeypatch) -> None:
    monkeypatch.setattr(numbering, "EVENTS_A_PASS", 2)
    loan = uuid.uuid4()
    rows = record_events([event(loan_id=loan, sequence=2), event(), event(loan_id=loan, sequence=1)])
    for second, row in enumerate(rows):
        Event.objects.filter(pk=row.pk).update(created_at=row.created_at + dt.timedelta(seconds=second))

    assert numbering.number_events() == 3

    assert [row.sequence for row in selectors.feed_of(PARTNER, after=0, limit=10) if row.loan_id == loan] == [1, 2]


def test_after_a_backlog_a_loans_later_event_is_numbered_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "EVENTS_A_PASS", 1)
    loan = uuid.uuid4()
    first, between, last = (
        record_events([event(loan_id=loan, sequence=1)])
        + record_events([event()])
        + record_events([event(loan_id=loan, sequence=2)])
    )
    began = first.created_at
    Event.objects.filter(pk=between.pk).update(created_at=began + dt.timedelta(minutes=5))
    Event.objects.filter(pk=last.pk).update(created_at=began + dt.timedelta(minutes=20))

    while numbering.number_events():
        pass

    assert [found.pk for found in selectors.feed_of(PARTNER, after=0, limit=10)] == [first.pk, between.pk, last.pk]
