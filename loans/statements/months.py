"""A calendar month in UTC. Pure."""

import datetime as dt
import re
from dataclasses import dataclass

from partner_platform.core.errors import invalid_fields

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True)
class Month:
    """`begins` is its first moment, `ends` that of the next month."""

    begins: dt.datetime
    ends: dt.datetime

    def __str__(self) -> str:
        return f"{self.begins:%Y-%m}"

    def has_ended(self, now: dt.datetime) -> bool:
        """Whether it is over."""
        return self.ends <= now


def month_at(moment: dt.datetime) -> Month:
    """The month that the moment is in."""
    begins = dt.datetime(moment.year, moment.month, 1, tzinfo=dt.UTC)
    is_december = moment.month == 12
    ends = dt.datetime(moment.year + is_december, moment.month % 12 + 1, 1, tzinfo=dt.UTC)
    return Month(begins, ends)


def read_month(text: str, now: dt.datetime) -> Month:
    """`2026-10` as a month; raises 400 `invalid_request` for another text, and for one that has not begun."""
    match = _MONTH.fullmatch(text)
    if match is None or not 2000 <= int(match[1]) <= 9998:
        raise invalid_fields({"month": ["Must be a month such as 2026-10."]})
    month = month_at(dt.datetime(int(match[1]), int(match[2]), 1, tzinfo=dt.UTC))
    if month.begins > now:
        raise invalid_fields({"month": ["Has not begun."]})
    return month
