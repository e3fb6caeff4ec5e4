"""A borrow's end: the loan is ACTIVE and paid out, or FAILED and everything it held is released (M2)."""

from audit.services import record_change
from chain.models import Operation, OperationState
from loans import schedules
from loans.models import LoanStatus, PartnerLoan
from loans.services import credit, ledger
from loans.services.movements import movement_of
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
    movement = movement_of(operation, loan.solvency_position_id)
    _move(
        loan,
        LoanStatus.ACTIVE,
        borrow_tx_hash=operation.tx_hash,
        borrowed_at=operation.block_time,
        platform_fee_paid=True,
        **_schedule(loan, operation),
        **ledger.draw(movement, loan.principal_amount, loan=loan),
    )
    credit.landed(loan.oaid_token_id, loan.principal_amount, movement.block_number)
    limits.settle_borrow(partner_id=loan.partner_id, amount=loan.principal_amount)
    _record(loan, "loan.borrowed", LoanStatus.ACTIVE, txHash=operation.tx_hash)


def _schedule(loan: PartnerLoan, operation: Operation) -> dict[str, object]:
    """The loan's due dates, counted from the block it was drawn in; nothing where it has none."""
    if loan.loan_duration is None or operation.block_time is None:
        return {}
    schedule = schedules.make(
        principal=loan.principal_amount,
        start=operation.block_time,
        duration_seconds=loan.loan_duration,
        instalments=loan.number_of_installments or 1,
    )
    marked = schedules.mark(schedule, principal_repaid=0, now=operation.block_time)
    return {"schedule": marked.schedule, "next_due_at": marked.next_due_at}


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
