"""Endpoint 15's figures: a partner's, or those of all partners, of the last days and of each of them.

Read from a row a day (`partners.figures.daily_figures`), so that an answer costs the same however many loans there
are; over all partners it reads a row of each partner and day. Days are UTC days, the last is today.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import QuerySet, Sum

from partner_platform.core import clock
from partners.figures.daily_figures import COLUMNS
from partners.models import Partner, PartnerDailyUsage

ONE_DAY = dt.timedelta(days=1)
DayRows = QuerySet[PartnerDailyUsage, tuple[dt.date, *tuple[int, ...]]]  # a day and its figures


class DayFigures(NamedTuple):
    """The figures of a day, or of several; amounts in base units."""

    drawn: int = 0
    drawn_loans: int = 0
    fees: int = 0
    repaid: int = 0
    repaid_loans: int = 0
    defaulted_loans: int = 0


NO_FIGURES = DayFigures()


@dataclass(frozen=True)
class Analytics:
    """The figures of every day of a period, days without business included, oldest first; and the active loans now."""

    days: dict[dt.date, DayFigures]
    active_loans: int

    @property
    def total(self) -> DayFigures:
        """What the days add up to."""
        return DayFigures(*map(sum, zip(*self.days.values(), strict=True)))

    def totals_until(self) -> Iterator[tuple[dt.date, DayFigures]]:
        """For each day what the period adds up to until its end."""
        total = NO_FIGURES
        for day, figures in self.days.items():
            total = DayFigures(*map(sum, zip(total, figures, strict=True)))
            yield day, total


def analytics_of(partner: Partner, *, days: int) -> Analytics:
    """A partner's, as it was just read. One query."""
    today = clock.today()
    return Analytics(_every_day(partner_days_query(partner, days=days, today=today), days, today), partner.active_loans)


def analytics_of_all(*, days: int) -> Analytics:
    """Those of all partners together. Two queries."""
    today = clock.today()
    active = Partner.objects.aggregate(total=Sum("active_loans"))["total"]
    return Analytics(_every_day(all_days_query(days=days, today=today), days, today), active or 0)


def partner_days_query(partner: Partner, *, days: int, today: dt.date) -> DayRows:
    """The partner's rows of the period that ends `today`, for the index tests too."""
    return _rows(days, today).filter(partner_id=partner.pk).order_by("day").values_list("day", *COLUMNS)


def all_days_query(*, days: int, today: dt.date) -> DayRows:
    """The sums of all partners' rows of each day of the period that ends `today`, for the index tests too."""
    sums = {f"sum_{name}": Sum(name) for name in COLUMNS}
    return _rows(days, today).order_by("day").values_list("day").annotate(**sums)


def _rows(days: int, today: dt.date) -> QuerySet[PartnerDailyUsage]:
    return PartnerDailyUsage.objects.filter(day__gt=today - days * ONE_DAY, day__lte=today)


def _every_day(rows: DayRows, days: int, today: dt.date) -> dict[dt.date, DayFigures]:
    """`today` is the rows' own: were it read again, midnight could come in between and make the period a day longer."""
    first = today - (days - 1) * ONE_DAY
    found = {first + number * ONE_DAY: NO_FIGURES for number in range(days)}
    return found | {day: DayFigures(*map(int, figures)) for day, *figures in rows}
