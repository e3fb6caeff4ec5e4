"""Writing a payment to the books: the loan's debt falls, its schedule and the partner's sums with it.

All kinds of payments end here: a partner's, the user's own, what a liquidation recovered. Inside the caller's
transaction; the position's ledger has been moved already (`ledger.apply`).
"""

import datetime as dt
from typing import Any

from loans.debt import schedules
from loans.ledger.shares import AppliedPayment
from loans.loan_audit import loan_figures, record_loan_change
from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentSource, RepaymentStatus
from loans.states import require_transition
from partner_platform.core import clock
from partner_platform.core.invariants import InvariantViolation
from partners import limits


def book_payment(
    payment: AppliedPayment, *, source: RepaymentSource, tx_hash: str, paid_at: dt.datetime, frees_loan: bool = False
) -> LoanStatus:
    """Write what a payment did to one loan; returns the loan's status after it.

    `frees_loan`: the partner's repayment in flight ends.
    """
    loan = payment.loan
    status, terms = _outlook(loan, payment, paid_at)
    changes = {
        **payment.changes,
        **terms,
        "status": status,
        "outstanding_principal": loan.outstanding_principal - payment.principal,
        "interest_paid": loan.interest_paid + payment.interest,
        "total_repaid": loan.total_repaid + payment.paid,
        "last_repayment_at": paid_at,
        "repay_tx_hash": tx_hash if status == LoanStatus.REPAID else loan.repay_tx_hash,
    }
    update_loan(loan, frees_loan=frees_loan, **changes)
    limits.count_repaid(
        partner_id=loan.partner_id,
        amount=payment.paid,
        principal=payment.principal,
        closes_loan=status == LoanStatus.REPAID,
    )
    _record_payment(payment, source, status)
    return status


def book_late_repayment(payment: AppliedPayment, paid: int) -> None:
    """Write that a repayment found nothing owed any more: somebody paid its loan before, and others got `paid`."""
    loan = payment.loan
    update_loan(loan, frees_loan=True, **payment.changes)
    record_loan_change(loan, "loan.repayment", **loan_figures(loan), paid="0", paidForOthers=str(paid))


def book_shifted_share(payment: AppliedPayment) -> None:
    """Write the share of the debt that another loan's payment changed; the loan owes what it owed."""
    if any(getattr(payment.loan, name) != value for name, value in payment.changes.items()):
        update_loan(payment.loan, **payment.changes)


def update_loan(loan: PartnerLoan, *, frees_loan: bool = False, **changes: Any) -> None:
    """One guarded update: the loan is as it was read.

    `frees_loan`: a repayment ended, and is not PENDING any more. A reorg can have brought an older one back beside it
    (F40): then the loan is still taken.
    """
    if changes.get("status", loan.status) != loan.status:
        require_transition(loan.status, changes["status"])
    as_read = PartnerLoan.objects.as_read(loan, "status", "outstanding_principal", "total_repaid")
    if frees_loan:
        as_read = as_read.filter(repayment_in_flight=True)
    freed = {"repayment_in_flight": _has_pending(loan)} if frees_loan else {}
    if as_read.update(updated_at=clock.now(), **freed, **changes) != 1:
        raise InvariantViolation(f"M4: loan {loan.internal_loan_id} changed while it was being credited")


def _has_pending(loan: PartnerLoan) -> bool:
    return Repayment.objects.filter(loan=loan.pk, status=RepaymentStatus.PENDING).exists()


def _record_payment(payment: AppliedPayment, source: RepaymentSource, status: LoanStatus) -> None:
    """The audit entry: `loan.repaid`, `loan.cured` or `loan.repayment`."""
    loan = payment.loan
    cured = loan.status == LoanStatus.DEFAULTED and status == LoanStatus.ACTIVE
    action = "loan.repaid" if status == LoanStatus.REPAID else "loan.cured" if cured else "loan.repayment"
    record_loan_change(
        loan,
        action,
        status=status,
        outstandingPrincipal=str(loan.outstanding_principal - payment.principal),
        paid=str(payment.paid),
        interest=str(payment.interest),
        repaidBy=str(source),
    )


def _outlook(loan: PartnerLoan, payment: AppliedPayment, paid_at: dt.datetime) -> tuple[LoanStatus, dict[str, Any]]:
    """The loan's status after the payment, and its schedule where it has one."""
    if payment.closes:
        repaid = loan.principal_amount
    else:
        repaid = loan.principal_amount - loan.outstanding_principal + payment.principal
    if not loan.schedule:
        return (LoanStatus.REPAID if payment.closes else LoanStatus(loan.status)), {}
    marked = schedules.mark_schedule(loan.schedule, principal_repaid=repaid, now=paid_at)
    terms = {"schedule": marked.schedule, "next_due_at": marked.next_due_at}
    if payment.closes:
        return LoanStatus.REPAID, terms
    if loan.status == LoanStatus.DEFAULTED and not marked.is_behind and not loan.default_reason:
        return LoanStatus.ACTIVE, {**terms, "defaulted_at": None}
    return LoanStatus(loan.status), terms


def book_onchain_payment(
    payment: AppliedPayment, *, source: RepaymentSource, tx_hash: str, paid_at: dt.datetime, order: int
) -> Repayment:
    """Write a payment that no partner's repayment made, with a repayment row of its own."""
    repayment = _create_onchain(payment, source, tx_hash, paid_at, order)
    book_payment(payment, source=source, tx_hash=tx_hash, paid_at=paid_at)
    return repayment


def book_liquidation(payment: AppliedPayment, *, tx_hash: str, paid_at: dt.datetime, order: int) -> None:
    """Write a loan's share of a liquidation: what it recovered is a repayment, interest first, the rest is lost."""
    loan = payment.loan
    lost_principal = loan.outstanding_principal - payment.principal
    if payment.paid:
        _create_onchain(payment, RepaymentSource.LIQUIDATION, tx_hash, paid_at, order)
        limits.count_repaid(partner_id=loan.partner_id, amount=payment.paid, principal=payment.principal)
    limits.write_off(partner_id=loan.partner_id, principal=lost_principal)
    update_loan(
        loan,
        **payment.changes,
        status=LoanStatus.LIQUIDATED,
        outstanding_principal=0,
        interest_paid=loan.interest_paid + payment.interest,
        total_repaid=loan.total_repaid + payment.paid,
        written_off_principal=lost_principal,
        written_off_interest=payment.lost - lost_principal,
        last_repayment_at=paid_at if payment.paid else loan.last_repayment_at,
        repay_tx_hash=tx_hash,
        next_due_at=None,
    )
    record_loan_change(
        loan,
        "loan.liquidated",
        status=LoanStatus.LIQUIDATED,
        recovered=str(payment.paid),
        writtenOff=str(payment.lost),
        txHash=tx_hash,
    )


def _create_onchain(
    payment: AppliedPayment, source: RepaymentSource, tx_hash: str, paid_at: dt.datetime, order: int
) -> Repayment:
    return Repayment.objects.create(
        loan_id=payment.loan.pk,
        partner_id=payment.loan.partner_id,
        amount=payment.paid,
        status=RepaymentStatus.SETTLED,
        repaid_by=source,
        funding=FundingSource.ONCHAIN,
        principal_paid=payment.principal,
        interest_paid=payment.interest,
        chain_order=order,
        tx_hash=tx_hash,
        settled_at=paid_at,
    )
