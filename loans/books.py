"""Do the books add up? Every running sum held against the loans and repayments it sums (M1 to M4).

The sums move by guarded updates while money flows; this reads them all and says where they differ. It costs one pass
over the loans, so it is for tests, the operator and the reconciliation, never for a request.
"""

from collections import Counter
from typing import Any

from chain.models import FundingTransfer
from loans.models import (
    LoanStatus,
    OaidCredit,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
    SolvencyPosition,
)
from partners.models import Partner, PartnerDailyUsage


def discrepancies() -> list[str]:
    """One sentence for each sum that is not what it should be; empty where the books agree with themselves."""
    loans = list(PartnerLoan.objects.all())
    repayments = list(Repayment.objects.all())
    return [
        *_loans_against_repayments(loans, repayments),
        *_partners(loans),
        *_daily_usage(loans),
        *_credits(loans),
        *_positions(loans),
        *_funding(repayments),
    ]


def _loans_against_repayments(loans: list[PartnerLoan], repayments: list[Repayment]) -> list[str]:
    settled = [repayment for repayment in repayments if repayment.status == RepaymentStatus.SETTLED]
    repaid = _sum((repayment.loan_id, repayment.amount) for repayment in settled)
    principal = _sum((repayment.loan_id, repayment.principal_paid) for repayment in settled)
    interest = _sum((repayment.loan_id, repayment.interest_paid) for repayment in settled)
    pending = Counter(r.loan_id for r in repayments if r.status == RepaymentStatus.PENDING)
    found = []
    for loan in loans:
        paid = repaid[loan.pk]
        debt = loan.principal_amount - principal[loan.pk] - loan.written_off_principal
        debt = 0 if loan.status == LoanStatus.FAILED else debt
        name = f"loan {loan.partner_loan_id}"
        found += _differs(f"{name} total_repaid", loan.total_repaid, paid)
        found += _differs(f"{name} outstanding_principal", loan.outstanding_principal, debt)
        found += _differs(f"{name} interest_paid", loan.interest_paid, interest[loan.pk])
        found += _differs(f"{name} history", sum(int(entry["amount"]) for entry in loan.repayment_history), paid)
        found += _differs(f"{name} repayments in flight", int(loan.repayment_in_flight), pending[loan.pk])
        is_closed = loan.status in (LoanStatus.REPAID, LoanStatus.LIQUIDATED)
        # Where the principal is paid, interest may be left; where it is closed, nothing is.
        left = debt + loan.bearing_principal + loan.accrued_scaled
        if loan.status not in (LoanStatus.FAILED, LoanStatus.PENDING) and is_closed != (left == 0):
            found.append(f"{name} is {loan.status} with a debt of {debt}")
    return found


def _partners(loans: list[PartnerLoan]) -> list[str]:
    drawn = [loan for loan in loans if loan.status not in (LoanStatus.PENDING, LoanStatus.FAILED)]
    outstanding = _sum((loan.partner_id, loan.outstanding_principal) for loan in loans)
    borrowed = _sum((loan.partner_id, loan.principal_amount) for loan in drawn)
    repaid = _sum((loan.partner_id, loan.total_repaid) for loan in loans)
    found = []
    for partner in Partner.objects.all():
        name = f"partner {partner.partner_id}"
        found += _differs(f"{name} current_outstanding", partner.current_outstanding, outstanding[partner.pk])
        found += _differs(f"{name} total_borrowed", partner.total_borrowed, borrowed[partner.pk])
        found += _differs(f"{name} total_repaid", partner.total_repaid, repaid[partner.pk])
    return found


def _daily_usage(loans: list[PartnerLoan]) -> list[str]:
    used = _sum(
        ((loan.partner_id, loan.daily_usage_day), loan.principal_amount)
        for loan in loans
        if loan.status != LoanStatus.FAILED
    )
    booked = {(usage.partner_id, usage.day): usage.borrowed for usage in PartnerDailyUsage.objects.all()}
    return [
        sentence
        for key in booked.keys() | used.keys()
        for sentence in _differs(f"daily usage of {key[0]} on {key[1]}", booked.get(key, 0), used[key])
    ]


def _credits(loans: list[PartnerLoan]) -> list[str]:
    in_flight = _sum((ln.oaid_token_id, ln.principal_amount) for ln in loans if ln.status == LoanStatus.PENDING)
    return [
        sentence
        for row in OaidCredit.objects.all()
        for sentence in _differs(f"OAID {row.oaid_token_id} reserved", row.reserved, in_flight[row.oaid_token_id])
    ]


def _positions(loans: list[PartnerLoan]) -> list[str]:
    debt = _sum(
        (loan.solvency_position_id, loan.outstanding_principal) for loan in loans if loan.status != LoanStatus.PENDING
    )
    return [
        sentence
        for row in SolvencyPosition.objects.all()
        for sentence in _differs(f"{row} total_partner_debt", row.total_partner_debt, debt[row.position_id])
    ]


def _funding(repayments: list[Repayment]) -> list[str]:
    claimed = _sum(
        (repayment.funding_transfer_id, repayment.amount - repayment.platform_covered)
        for repayment in repayments
        if repayment.funding_transfer_id
        and repayment.status != RepaymentStatus.FAILED
        and repayment.repaid_by == RepaymentSource.PARTNER
    )
    found = []
    for transfer in FundingTransfer.objects.all():
        found += _differs(f"transfer {transfer} used", transfer.used, claimed[transfer.pk])
        if transfer.used > transfer.value:
            found.append(f"transfer {transfer} of {transfer.value} funds {transfer.used}")
    return found


def _sum(pairs: Any) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for key, amount in pairs:
        total[key] += amount
    return total


def _differs(what: str, booked: int, derived: int) -> list[str]:
    return [] if booked == derived else [f"{what} is {booked}, adds up to {derived}"]
