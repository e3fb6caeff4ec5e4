"""A partner's figures by UTC day (`PartnerDailyUsage`), from which analytics are answered (M4).

A loan counts (`drawn`, `drawn_loans`, `fees`) once it was paid out, on the day it was accepted on, as its daily limit
does. A payment counts (`repaid`, `repaid_loans`) on the day of its block. A loan that defaulted or was liquidated
counts once (`defaulted_loans`), on the day that last happened (`PartnerLoan.default_day`): it moves there from an
earlier day, so that any period that ends today counts each loan once. A cure changes nothing.

`move_days` writes all changes of a transaction with one guarded update for each partner and day; call it at the end,
after loans and partners were written (one order, no deadlocks). A day without borrows has no row: its first payment
makes it.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import F

from partner_platform.core.database.transactions import again_if_taken
from partner_platform.core.invariants import InvariantViolation
from partners.models import PartnerDailyUsage

COLUMNS = ("drawn", "drawn_loans", "fees", "repaid", "repaid_loans", "defaulted_loans")


@dataclass(frozen=True)
class DayMove:
    """By how much figures of a partner's UTC day change: `changes` by the names of the columns."""

    partner_id: uuid.UUID
    day: dt.date
    changes: Mapping[str, int]


def move_days(moves: Iterable[DayMove]) -> None:
    """Write the moves, added up, in the caller's transaction; which runs again where another made a day's row first.

    Raises `InvariantViolation` where a figure would pass below zero.
    """
    sums: dict[tuple[uuid.UUID, dt.date], Counter[str]] = {}
    for move in moves:
        changes = sums.setdefault((move.partner_id, move.day), Counter())
        for name, change in move.changes.items():
            changes[name] += change
    for partner_id, day in sorted(sums):
        changed = {name: change for name, change in sums[partner_id, day].items() if change}
        if changed:
            _move(partner_id, day, changed)


def _move(partner_id: uuid.UUID, day: dt.date, changes: Mapping[str, int]) -> None:
    of_day = PartnerDailyUsage.objects.filter(partner_id=partner_id, day=day)
    at_least = {f"{name}__gte": -change for name, change in changes.items() if change < 0}
    moved = {name: F(name) + change for name, change in changes.items()}
    if of_day.filter(**at_least).update(**moved) == 1:
        return
    if at_least:
        raise InvariantViolation(f"M4: partner {partner_id}: the figures of {day} could not move by {dict(changes)}")
    if of_day.exists():  # PostgreSQL shows what another transaction committed since
        of_day.update(**moved)
        return
    with again_if_taken():
        PartnerDailyUsage.objects.create(partner_id=partner_id, day=day, **changes)
