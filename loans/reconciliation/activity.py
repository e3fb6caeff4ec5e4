"""What a partner's usage rows (`partners.figures.daily_figures`) say of payments and defaults, by the day of each,
against the loans and repayments themselves.

A full comparison adds up every day as it reads the rows. A quick one compares what a partner's rows add up to with the
sums that its loans have in `days`; only where these differ are the partner's days added up again.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence

from django.db.models import Sum

from loans.models import PartnerLoan, Repayment
from loans.reconciliation.days import FIGURES, check_rows
from loans.reconciliation.findings import BooksFinding
from loans.reconciliation.records import LoanRecord, RepaymentRecord
from partner_platform.core.database.rows import as_day, as_uuid
from partners.figures.daily_figures import COLUMNS
from partners.models import Partner, PartnerDailyUsage

BY_EVENT = ("repaid", "repaid_loans", "defaulted_loans")
# Which figure of `days.FIGURES` the rows of all days together must equal.
_TOTALS = {"drawn": "borrowed", **{name: name for name in COLUMNS if name != "drawn"}}
NO_FIGURES = [0] * len(COLUMNS)
ROWS_AT_ONCE = 2_000
_REPAID, _CLOSED, _DEFAULTED = range(len(BY_EVENT))


class Activity:
    """Sums by partner and day. Keys may be as they are stored: `of_partners` converts them."""

    def __init__(self) -> None:
        self._sums: dict[tuple[object, dt.date], list[int]] = {}

    def add(self, loan: LoanRecord, repayments: Iterable[RepaymentRecord]) -> None:
        """Add a loan with its repayments."""
        for repayment in repayments:
            if repayment.status == "SETTLED" and repayment.settled_at is not None:
                self.count(loan.partner_id, as_day(repayment.settled_at), _REPAID, repayment.amount)
        self.count_loan(loan.partner_id, loan.status, loan.last_repayment_at, loan.default_day)

    def count_loan(self, partner: object, status: str, last_repayment_at: object, default_day: object) -> None:
        """Count the loan on the days on which it was repaid, and last defaulted."""
        if status == "REPAID" and last_repayment_at is not None:
            self.count(partner, as_day(last_repayment_at), _CLOSED, 1)
        if default_day is not None:
            self.count(partner, as_day(default_day), _DEFAULTED, 1)

    def count(self, partner: object, day: dt.date, figure: int, amount: int) -> None:
        """Add to one figure (an index of `BY_EVENT`) of a day."""
        sums = self._sums.get((partner, day))
        if sums is None:
            sums = self._sums[partner, day] = [0] * len(BY_EVENT)
        sums[figure] += amount

    def of_partners(self) -> dict[uuid.UUID, dict[dt.date, dict[str, int]]]:
        """The sums by partner's key, by day, by the name of the column."""
        found: dict[uuid.UUID, dict[dt.date, dict[str, int]]] = {}
        for (partner, day), sums in self._sums.items():
            if any(sums):
                found.setdefault(as_uuid(partner), {})[day] = dict(zip(BY_EVENT, sums, strict=True))
        return found


def activity_of(partner: uuid.UUID) -> Activity:
    """The sums of all the partner's days, from its loans and repayments as a stream."""
    made = Activity()
    loans = PartnerLoan.objects.filter(partner_id=partner).values_list("status", "last_repayment_at", "default_day")
    for loan in loans.iterator(chunk_size=ROWS_AT_ONCE):
        made.count_loan(partner, *loan)
    repayments = Repayment.objects.filter(partner_id=partner, status="SETTLED", settled_at__isnull=False)
    for amount, settled_at in repayments.values_list("amount", "settled_at").iterator(chunk_size=ROWS_AT_ONCE):
        made.count(partner, as_day(settled_at), _REPAID, amount)
    return made


def check_activity(activity: Activity, partners: Iterable[Partner]) -> list[BooksFinding]:
    """The partners' usage rows of all days against these sums."""
    sums = activity.of_partners()
    return [
        finding
        for partner in partners
        for finding in check_rows(partner, sums.get(partner.pk, {}), BY_EVENT, every=True)
    ]


def figures_by_partner() -> dict[uuid.UUID, list[int]]:
    """What each partner's usage rows of all days add up to, in the order of `COLUMNS`."""
    rows = PartnerDailyUsage.objects.values_list("partner_id").annotate(
        **{f"sum_{name}": Sum(name) for name in COLUMNS}
    )
    return {partner: [int(figure) for figure in figures] for partner, *figures in rows}


def figures_of(sums: Sequence[int]) -> list[int]:
    """The same of a partner's sums in the order of `days.FIGURES`."""
    named = dict(zip(FIGURES, sums, strict=True))
    return [named[_TOTALS[name]] for name in COLUMNS]
