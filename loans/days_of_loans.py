"""What each change of a loan changes of its partner's figures by day, and on which. Pure.

The figures are `partners.figures.daily_figures`.

The loan is as it was read before the change.
"""

import datetime as dt

from loans.models import LoanStatus, PartnerLoan
from partner_platform.core import clock
from partners.figures.daily_figures import DayMove


def drawn(loan: PartnerLoan, *, times: int = 1) -> DayMove:
    """It was paid out; `times=-1`: a reorg undid that."""
    counted = {"drawn": loan.principal_amount, "drawn_loans": 1, "fees": loan.platform_fee_charged}
    return DayMove(loan.partner_id, loan.daily_usage_day, {name: times * figure for name, figure in counted.items()})


def paid(loan: PartnerLoan, at: dt.datetime, amount: int, *, closes_loan: bool = False) -> DayMove:
    """It was paid `amount` base units in a block of that time."""
    return DayMove(loan.partner_id, at.date(), {"repaid": amount, "repaid_loans": int(closes_loan)})


def default_moved(loan: PartnerLoan, day: dt.date | None) -> list[DayMove]:
    """It is counted as defaulted on that day (None: on none), and no longer on its former one."""
    days = [(loan.default_day, -1), (day, 1)] if loan.default_day != day else []
    return [
        DayMove(loan.partner_id, counted_on, {"defaulted_loans": change})
        for counted_on, change in days
        if counted_on is not None
    ]


def payment_undone(
    loan: PartnerLoan, *, moment: int, status: str, total_repaid: int, default_day: dt.date | None
) -> list[DayMove]:
    """A payment or liquidation in a block of that time (seconds) was undone; the others are what the loan is again."""
    closed = (status == LoanStatus.REPAID) - (loan.status == LoanStatus.REPAID)
    changes = {"repaid": total_repaid - loan.total_repaid, "repaid_loans": closed}
    day = clock.from_seconds(moment).date()
    return [DayMove(loan.partner_id, day, changes), *default_moved(loan, default_day)]


def draw_undone(loan: PartnerLoan) -> list[DayMove]:
    """Its draw was undone: it is not counted any more."""
    return [drawn(loan, times=-1), *default_moved(loan, None)]
