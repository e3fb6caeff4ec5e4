"""A statement: its opening balance, its lines with the running balance, and once they are read its closing balance."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from loans.statements.lines import BalanceLine, Totals, balance_lines
from loans.statements.months import Month, read_month
from loans.statements.reading import balance_before, booked_in, is_undecided, pending_principal
from partner_platform.core import clock
from partners.models import Partner


@dataclass
class Statement:
    """A partner's month. `balance` and `totals` are those of the lines that were read; amounts in base units.

    `pending` is, in the month that has not ended, what is accepted and not drawn yet: with the closing balance the
    partner's outstanding.
    """

    partner: Partner
    month: Month
    is_provisional: bool
    opening: int
    pending: int | None
    balance: int
    totals: Totals = field(default_factory=Totals)

    def lines(self) -> Iterator[BalanceLine]:
        """The lines by time, to be read once; after each `balance` is the balance behind it."""
        for booked in booked_in(self.partner, self.month):
            for line in balance_lines(booked):
                self.balance += line.change
                self.totals.add(line)
                yield line


def open_statement(partner: Partner, month: str) -> Statement:
    """The partner's statement of a month such as `2026-10`.

    Provisional until the month is over and whatever was accepted in it is decided. Raises 400 `invalid_request` for
    another text, and for a month that has not begun.
    """
    now = clock.now()
    chosen = read_month(month, now)
    has_ended = chosen.has_ended(now)
    opening = balance_before(partner, chosen.begins)
    return Statement(
        partner=partner,
        month=chosen,
        is_provisional=not has_ended or is_undecided(partner, chosen.ends),
        opening=opening,
        pending=None if has_ended else pending_principal(partner),
        balance=opening,
    )
