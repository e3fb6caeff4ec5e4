"""Do the books add up? Every running sum held against the loans and repayments it sums (M1 to M4).

The sums move by guarded updates while money flows; this reads them all and says where they differ. Each is derived from
the records themselves (what was lent, what was paid), never from another sum, so that one wrong figure is one finding.
It costs one pass over the loans, so it is for tests, the operator and the reconciliation, never for a request.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chain.models import FundingTransfer
from loans.findings import Finding, column, differs
from loans.models import (
    LoanStatus,
    OaidCredit,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
    SolvencyPosition,
)
from loans.states import CLOSED, REPAYABLE
from partners.models import Partner, PartnerDailyUsage

UNDRAWN = (LoanStatus.PENDING, LoanStatus.FAILED)


@dataclass(frozen=True)
class Derived:
    """A loan with what its repayments add up to."""

    loan: PartnerLoan
    repaid: int
    interest: int
    outstanding: int
    in_flight: int

    @property
    def is_drawn(self) -> bool:
        return self.loan.status not in UNDRAWN


def discrepancies() -> list[str]:
    """One sentence for each sum that is not what it should be; empty where the books agree with themselves."""
    return [str(finding) for finding in findings()]


def findings() -> list[Finding]:
    """The same with the rows they are about, and how each can be put right."""
    repayments = list(Repayment.objects.all())
    loans = _derive(PartnerLoan.objects.all(), repayments)
    return [
        *_loans(loans),
        *_partners(loans),
        *_daily_usage(loans),
        *_credits(loans),
        *_positions(loans),
        *_funding(repayments),
    ]


def _derive(loans: Iterable[PartnerLoan], repayments: list[Repayment]) -> list[Derived]:
    settled = [repayment for repayment in repayments if repayment.status == RepaymentStatus.SETTLED]
    repaid = _sum((repayment.loan_id, repayment.amount) for repayment in settled)
    principal = _sum((repayment.loan_id, repayment.principal_paid) for repayment in settled)
    interest = _sum((repayment.loan_id, repayment.interest_paid) for repayment in settled)
    pending = Counter(r.loan_id for r in repayments if r.status == RepaymentStatus.PENDING)
    return [
        Derived(
            loan,
            repaid[loan.pk],
            interest[loan.pk],
            0
            if loan.status == LoanStatus.FAILED
            else loan.principal_amount - principal[loan.pk] - loan.written_off_principal,
            pending[loan.pk],
        )
        for loan in loans
    ]


def _loans(loans: list[Derived]) -> list[Finding]:
    found = []
    for item in loans:
        loan, subject = item.loan, f"loan:{item.loan.internal_loan_id}"
        found += column(subject, loan, "total_repaid", item.repaid)
        found += column(subject, loan, "interest_paid", item.interest)
        found += column(subject, loan, "outstanding_principal", item.outstanding)
        found += differs(subject, "repayments in flight", int(loan.repayment_in_flight), item.in_flight)
        # Where the principal is paid, interest may be left; where it is closed, nothing is.
        left = item.outstanding + loan.bearing_principal + loan.accrued_scaled
        if item.is_drawn and (loan.status in CLOSED) != (left == 0):
            found += differs(subject, "status", str(loan.status), f"a debt of {item.outstanding}")
    return found


def _partners(loans: list[Derived]) -> list[Finding]:
    outstanding = _sum((item.loan.partner_id, item.outstanding) for item in loans)
    borrowed = _sum((item.loan.partner_id, item.loan.principal_amount) for item in loans if item.is_drawn)
    repaid = _sum((item.loan.partner_id, item.repaid) for item in loans)
    active = Counter(item.loan.partner_id for item in loans if item.loan.status in REPAYABLE)
    closed = Counter(item.loan.partner_id for item in loans if item.loan.status == LoanStatus.REPAID)
    found = []
    for partner in Partner.objects.all():
        subject = f"partner:{partner.partner_id}"
        found += column(subject, partner, "current_outstanding", outstanding[partner.pk])
        found += column(subject, partner, "total_borrowed", borrowed[partner.pk])
        found += column(subject, partner, "total_repaid", repaid[partner.pk])
        found += column(subject, partner, "active_loans", active[partner.pk])
        found += column(subject, partner, "repaid_loans", closed[partner.pk])
    return found


def _daily_usage(loans: list[Derived]) -> list[Finding]:
    used = _sum(
        ((item.loan.partner_id, item.loan.daily_usage_day), item.loan.principal_amount)
        for item in loans
        if item.loan.status != LoanStatus.FAILED
    )
    found = []
    for usage in PartnerDailyUsage.objects.select_related("partner"):
        subject, derived = f"partner:{usage.partner.partner_id}", used.pop((usage.partner_id, usage.day), 0)
        found += [
            Finding(subject, f"daily usage of {usage.day}", finding.booked, finding.actual, finding.repair)
            for finding in column(subject, usage, "borrowed", derived)
        ]
    names = dict(Partner.objects.values_list("pk", "partner_id"))
    return found + [
        finding
        for (partner, day), amount in used.items()
        for finding in differs(f"partner:{names[partner]}", f"daily usage of {day}", 0, amount)
    ]


def _credits(loans: list[Derived]) -> list[Finding]:
    in_flight = _sum(
        (item.loan.oaid_token_id, item.loan.principal_amount)
        for item in loans
        if item.loan.status == LoanStatus.PENDING
    )
    return [
        finding
        for row in OaidCredit.objects.all()
        for finding in column(f"oaid:{row.oaid_token_id}", row, "reserved", in_flight[row.oaid_token_id])
    ]


def _positions(loans: list[Derived]) -> list[Finding]:
    debt = _sum((item.loan.solvency_position_id, item.outstanding) for item in loans if item.is_drawn)
    return [
        finding
        for row in SolvencyPosition.objects.all()
        for finding in column(f"position:{row.position_id}", row, "total_partner_debt", debt[row.position_id])
    ]


def _funding(repayments: list[Repayment]) -> list[Finding]:
    claimed = _sum(
        (repayment.funding_transfer_id, repayment.amount - repayment.platform_covered)
        for repayment in repayments
        if repayment.funding_transfer_id
        and repayment.status != RepaymentStatus.FAILED
        and repayment.repaid_by == RepaymentSource.PARTNER
    )
    found = []
    for transfer in FundingTransfer.objects.all():
        subject = f"transfer:{transfer.tx_hash}"
        found += column(subject, transfer, "used", claimed[transfer.pk])
        if claimed[transfer.pk] > transfer.value:
            found += differs(subject, "value", transfer.value, f"repayments of {claimed[transfer.pk]}")
    return found


def _sum(pairs: Any) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for key, amount in pairs:
        total[key] += amount
    return total
