"""A repayment's end: the debt falls by what was paid, or the loan and the funding are free again."""

from typing import Any

from audit.services import record_change
from chain import funding, system
from chain.models import Operation, OperationState
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.services.positions import change_partner_debt
from loans.states import require_transition
from partner_platform.core import clock
from partners import limits
from partners.limits import InvariantViolation


def settle_repayment(repayment: Repayment, operation: Operation) -> None:
    """Bring the repayment to the operation's end, inside the caller's transaction."""
    loan = PartnerLoan.objects.get(pk=repayment.loan_id)
    if operation.state == OperationState.CONFIRMED:
        _credit(loan, repayment, operation)
    else:
        _fail(loan, repayment, operation)


def _credit(loan: PartnerLoan, repayment: Repayment, operation: Operation) -> None:
    paid = system.repaid_amount(operation.outcome_logs or [])
    debt = loan.outstanding_principal - paid
    status = LoanStatus.REPAID if debt == 0 else LoanStatus(loan.status)
    _finish(repayment, RepaymentStatus.SETTLED, amount=paid, tx_hash=operation.tx_hash, settled_at=operation.block_time)
    _update_loan(
        loan,
        status=status,
        outstanding_principal=debt,
        total_repaid=loan.total_repaid + paid,
        repayment_history=[*loan.repayment_history, _history_entry(repayment, operation, paid)],
        last_repayment_at=operation.block_time,
        repay_tx_hash=operation.tx_hash if status == LoanStatus.REPAID else loan.repay_tx_hash,
    )
    limits.settle_repayment(partner_id=loan.partner_id, amount=paid)
    change_partner_debt(loan.solvency_position_id, -paid)
    _give_back(repayment, repayment.amount - paid)
    _record(loan, "loan.repaid" if status == LoanStatus.REPAID else "loan.repayment", status, debt, paid=str(paid))


def _fail(loan: PartnerLoan, repayment: Repayment, operation: Operation) -> None:
    _finish(repayment, RepaymentStatus.FAILED, failure_reason=operation.reason[:300], settled_at=clock.now())
    _update_loan(loan)
    _give_back(repayment, repayment.amount)
    _record(
        loan,
        "loan.repayment_failed",
        LoanStatus(loan.status),
        loan.outstanding_principal,
        reason=operation.reason[:300],
    )


def _finish(repayment: Repayment, status: RepaymentStatus, **changes: Any) -> None:
    mine = Repayment.objects.filter(pk=repayment.pk, status=RepaymentStatus.PENDING)
    if mine.update(status=status, **changes) != 1:
        raise InvariantViolation(f"M3: repayment {repayment.pk} is not pending any more")


def _update_loan(loan: PartnerLoan, **changes: Any) -> None:
    """One guarded update: the loan is as it was read, and free for the next repayment."""
    if changes.get("status", loan.status) != loan.status:
        require_transition(loan.status, changes["status"])
    mine = PartnerLoan.objects.filter(
        pk=loan.pk,
        status=loan.status,
        outstanding_principal=loan.outstanding_principal,
        total_repaid=loan.total_repaid,
        repayment_in_flight=True,
    )
    if mine.update(repayment_in_flight=False, **changes) != 1:
        raise InvariantViolation(f"M4: loan {loan.internal_loan_id} changed while its repayment was in flight")


def _give_back(repayment: Repayment, amount: int) -> None:
    if repayment.funding_transfer_id is None or amount == 0:
        return
    if not funding.give_back(transfer_id=repayment.funding_transfer_id, amount=amount):
        raise InvariantViolation(f"M3: repayment {repayment.pk} never claimed {amount}")


def _history_entry(repayment: Repayment, operation: Operation, paid: int) -> dict[str, str | None]:
    return {
        "amount": str(paid),
        "timestamp": clock.isoformat(operation.block_time),
        "txHash": operation.tx_hash,
        "repaidBy": str(repayment.repaid_by),
    }


def _record(loan: PartnerLoan, action: str, status: LoanStatus, debt: int, **after: str) -> None:
    record_change(
        actor="system",
        action=action,
        target=f"loan:{loan.internal_loan_id}",
        before={"status": str(loan.status), "outstandingPrincipal": str(loan.outstanding_principal)},
        after={"status": str(status), "outstandingPrincipal": str(debt), **after},
    )
