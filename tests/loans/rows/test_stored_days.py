"""The sums by day that a reconciliation leaves to the next one: written where they differ, of all days or of some."""

import datetime as dt
import uuid

from loans.models import ReconciledDay
from loans.reconciliation.days import FIGURES
from loans.reconciliation.stored_runs import _store_days
from tests.support.books_rows import DAY, BooksRows

OTHER_DAY = dt.date(2026, 1, 6)
OF_DAY, OF_OTHER_DAY = [21, 16, 5, 3, 1, 2, 3, 4, 1], [7, 7, 7, 0, 1, 0, 1, 2, 0]


def kept() -> dict[dt.date, tuple[uuid.UUID, list[int]]]:
    return {row.day: (row.pk, [getattr(row, name) for name in FIGURES]) for row in ReconciledDay.objects.all()}


def test_sums_are_written_and_those_that_are_the_same_are_left(world: BooksRows) -> None:
    partner = world.partner().pk
    _store_days({(partner, DAY): OF_DAY, (partner, OTHER_DAY): OF_OTHER_DAY}, is_all=True)
    first = kept()
    assert {day: sums for day, (_, sums) in first.items()} == {DAY: OF_DAY, OTHER_DAY: OF_OTHER_DAY}

    changed = [22, *OF_DAY[1:]]
    _store_days({(partner, DAY): changed, (partner, OTHER_DAY): OF_OTHER_DAY}, is_all=True)
    second = kept()
    assert second[OTHER_DAY] == first[OTHER_DAY]
    assert second[DAY][1] == changed
    assert len(second) == 2


def test_days_that_were_not_looked_at_keep_their_sums_and_where_all_were_no_others_stay(world: BooksRows) -> None:
    partner, other = world.partner().pk, world.partner().pk
    _store_days({(partner, DAY): OF_DAY, (other, OTHER_DAY): OF_OTHER_DAY}, is_all=True)
    _store_days({(partner, DAY): OF_OTHER_DAY}, is_all=False)
    assert {day: sums for day, (_, sums) in kept().items()} == {DAY: OF_OTHER_DAY, OTHER_DAY: OF_OTHER_DAY}
    _store_days({(partner, DAY): OF_DAY}, is_all=True)
    assert {day: sums for day, (_, sums) in kept().items()} == {DAY: OF_DAY}
