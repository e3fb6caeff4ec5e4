"""A borrow's end: the loan is ACTIVE and paid out, or FAILED and everything it held is released (M2)."""

from audit.services import record_change
from chain.models import Operation, OperationState
from loans.models import LoanStatus, PartnerLoan
from loans.services import credit
from loans.services.positions import change_partner_debt
from loans.states import require_transition
from partner_platform.core.errors import ErrorCode
from partners import limits
from partners.limits import InvariantViolation


def settle_borrow(loan: PartnerLoan, operation: Operation) -> None:
    """Bring the loan to the operation's end, inside the caller's transaction."""
    if operation.state == OperationState.CONFIRMED:
        _activate(loan, operation)
    else:
        _fail(loan, operation)


def _activate(loan: PartnerLoan, operation: Operation) -> None:
    if operation.block_number is None:
        raise InvariantViolation(f"M2: {operation.key} is confirmed without a block")
    _move(
        loan,
        LoanStatus.ACTIVE,
        borrow_tx_hash=operation.tx_hash,
        borrowed_at=operation.block_time,
        platform_fee_paid=True,
    )
    credit.landed(loan.oaid_token_id, loan.principal_amount, operation.block_number)
    limits.settle_borrow(partner_id=loan.partner_id, amount=loan.principal_amount)
    change_partner_debt(loan.solvency_position_id, loan.principal_amount)
    _record(loan, "loan.borrowed", LoanStatus.ACTIVE, txHash=operation.tx_hash)


def _fail(loan: PartnerLoan, operation: Operation) -> None:
    _move(
        loan,
        LoanStatus.FAILED,
        failure_reason=operation.reason[:300],
        failure_code=str(ErrorCode.SETTLEMENT_FAILED),
        outstanding_principal=0,
    )
    credit.release(loan.oaid_token_id, loan.principal_amount)
    limits.release(partner_id=loan.partner_id, amount=loan.principal_amount, day=loan.daily_usage_day)
    _record(loan, "loan.failed", LoanStatus.FAILED, reason=operation.reason[:300])


def _move(loan: PartnerLoan, status: LoanStatus, **changes: object) -> None:
    require_transition(loan.status, status)
    moved = PartnerLoan.objects.filter(pk=loan.pk, status=loan.status).update(status=status, **changes)
    if moved != 1:
        raise InvariantViolation(f"M2: loan {loan.internal_loan_id} is not {loan.status} any more")


def _record(loan: PartnerLoan, action: str, status: LoanStatus, **after: str) -> None:
    record_change(
        actor="system",
        action=action,
        target=f"loan:{loan.internal_loan_id}",
        before={"status": str(loan.status)},
        after={"status": str(status), **after},
    )
