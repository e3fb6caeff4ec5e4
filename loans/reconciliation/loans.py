"""Each loan's running figures against its repayments, and what it adds to its day and its position. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from loans.models import PartnerLoan
from loans.reconciliation.activity import Activity
from loans.reconciliation.days import Days
from loans.reconciliation.findings import BooksFinding, column, differs
from loans.reconciliation.records import LoanRecord, RepaymentRecord
from partner_platform.core.database.rows import ZERO_UINT256, as_uuid

UNDRAWN = frozenset({"PENDING", "FAILED"})
CLOSED = frozenset({"REPAID", "LIQUIDATED"})
LIVE = frozenset({"ACTIVE", "DEFAULTED"})
DEFAULTED = frozenset({"DEFAULTED", "LIQUIDATED"})  # these are counted on a day


class Paid(NamedTuple):
    """What a loan's settled repayments add up to, and how many are under way."""

    amount: int = 0
    interest: int = 0
    principal: int = 0
    pending: int = 0


NOTHING_PAID = Paid()


@dataclass(slots=True)
class LoansOfPosition:
    """What a position's loans add up to; `live` are those that owe something."""

    debt: int = 0
    live: list[LoanRecord] = field(default_factory=list)


def check_loans(
    loans: Iterable[LoanRecord],
    repayments: Mapping[object, Sequence[RepaymentRecord]],
    days: Days,
    activity: Activity | None = None,
) -> tuple[list[BooksFinding], dict[str, LoansOfPosition]]:
    """The loans whose figures differ from their records; and the sums by position (its stored key).

    They are added to `days`, and to `activity` where one is given.
    """
    findings: list[BooksFinding] = []
    by_position: dict[str, LoansOfPosition] = {}
    for loan in loans:
        own = repayments.get(loan.pk)
        paid = NOTHING_PAID if own is None else _paid(own)
        status = loan.status
        outstanding = 0 if status == "FAILED" else loan.principal_amount - paid.principal - loan.written_off_principal
        if not _agrees(loan, paid, outstanding):
            findings += _differences(loan, paid, outstanding)
        days.add(loan, outstanding, paid.amount)
        if activity is not None:
            activity.add(loan, own or ())
        if status not in UNDRAWN:
            sums = by_position.get(loan.solvency_position_id)
            if sums is None:
                sums = by_position[loan.solvency_position_id] = LoansOfPosition()
            sums.debt += outstanding
            if status in LIVE:
                sums.live.append(loan)
    return findings, by_position


def _paid(repayments: Sequence[RepaymentRecord]) -> Paid:
    settled = [repayment for repayment in repayments if repayment.status == "SETTLED"]
    return Paid(
        amount=sum(repayment.amount for repayment in settled),
        interest=sum(repayment.interest_paid for repayment in settled),
        principal=sum(repayment.principal_paid for repayment in settled),
        pending=sum(repayment.status == "PENDING" for repayment in repayments),
    )


def _agrees(loan: LoanRecord, paid: Paid, outstanding: int) -> bool:
    return (
        loan.total_repaid == paid.amount
        and loan.interest_paid == paid.interest
        and loan.outstanding_principal == outstanding
        and bool(loan.repayment_in_flight) == bool(paid.pending)
        and _is_closed_rightly(loan, outstanding)
        and (loan.default_day is not None or loan.status not in DEFAULTED)
    )


def _is_closed_rightly(loan: LoanRecord, outstanding: int) -> bool:
    """Where the principal is paid, interest may be left; where it is closed, nothing is."""
    if loan.status in UNDRAWN:
        return True
    is_clear = not outstanding and not loan.bearing_principal and loan.accrued_scaled == ZERO_UINT256
    return (loan.status in CLOSED) == is_clear


def _differences(loan: LoanRecord, paid: Paid, outstanding: int) -> list[BooksFinding]:
    subject, key = loan_subject(loan), as_uuid(loan.pk)
    found = [
        *column(subject, PartnerLoan, key, "total_repaid", loan.total_repaid, paid.amount),
        *column(subject, PartnerLoan, key, "interest_paid", loan.interest_paid, paid.interest),
        *column(subject, PartnerLoan, key, "outstanding_principal", loan.outstanding_principal, outstanding),
    ]
    if bool(loan.repayment_in_flight) != bool(paid.pending):
        found += differs(subject, "repayments in flight", int(bool(loan.repayment_in_flight)), paid.pending)
    if not _is_closed_rightly(loan, outstanding):
        found += differs(subject, "status", loan.status, f"a debt of {outstanding}")
    if loan.status in DEFAULTED and loan.default_day is None:
        found += differs(subject, "day of its default", None, loan.status)
    return found


def loan_subject(loan: LoanRecord) -> str:
    """What a finding about the loan names."""
    return f"loan:{as_uuid(loan.internal_loan_id)}"
