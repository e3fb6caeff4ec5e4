"""A loan's repayment schedule: equal instalments of principal, each with its due date. Pure.

An instalment is PAID once the principal repaid so far covers it and those before it, MISSED where its due date passed
before that, DUE otherwise. Amounts are strings of base units, times ISO 8601 in UTC, as the API shows them.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from partner_platform.core.clock import isoformat

DUE, PAID, MISSED = "DUE", "PAID", "MISSED"
Schedule = list[dict[str, Any]]


@dataclass(frozen=True)
class Marked:
    """A schedule as of a moment; `next_due_at` is that of the first instalment that is not paid, None where all are."""

    schedule: Schedule
    next_due_at: dt.datetime | None

    @property
    def is_behind(self) -> bool:
        """True where an instalment was missed and is not paid."""
        return any(entry["status"] == MISSED for entry in self.schedule)


def newly_missed(before: Schedule, after: Schedule) -> Schedule:
    """The instalments that are MISSED in the schedule `after` and were not in the one `before`."""
    known = {entry["number"] for entry in before if entry["status"] == MISSED}
    return [entry for entry in after if entry["status"] == MISSED and entry["number"] not in known]


def make_schedule(*, principal: int, start: dt.datetime, duration_seconds: int, instalments: int) -> Schedule:
    """`instalments` of equal principal at equal distances, the last one at the end, with what division leaves."""
    share = principal // instalments
    return [
        {
            "number": number,
            "dueAt": isoformat(start + dt.timedelta(seconds=duration_seconds * number // instalments)),
            "amount": str(share if number < instalments else principal - share * (instalments - 1)),
            "status": DUE,
        }
        for number in range(1, instalments + 1)
    ]


def mark_schedule(schedule: Schedule, *, principal_repaid: int, now: dt.datetime) -> Marked:
    """The schedule with every instalment's status as of `now`."""
    marked, needed, next_due_at = [], 0, None
    for entry in schedule:
        needed += int(entry["amount"])
        due_at = dt.datetime.fromisoformat(entry["dueAt"])
        status = PAID if principal_repaid >= needed else MISSED if due_at < now else DUE
        if status != PAID and next_due_at is None:
            next_due_at = due_at
        marked.append({**entry, "status": status})
    return Marked(marked, next_due_at)
