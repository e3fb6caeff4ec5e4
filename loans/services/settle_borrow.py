"""Settling a borrow: the loan is ACTIVE and paid out, or FAILED and its reservations are released (M2)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.models import Operation, OperationState
from events.kinds import EventType
from loans import days_of_loans
from loans.debt import schedules
from loans.ledger.apply import apply_draws
from loans.ledger.movement import Movement, failure_evidence, movement_of
from loans.loan_changes import LoanChange, record_loan_changes
from loans.models import LoanStatus, PartnerLoan
from loans.objects.events import LoanEvent
from loans.positions import credit
from loans.services import reservations
from partner_platform.core.errors import ErrorCode
from partner_platform.core.invariants import InvariantViolation
from partners import limits


@dataclass(frozen=True)
class Draw:
    """A loan, its confirmed operation, and how that moved the debt at the pool."""

    loan: PartnerLoan
    operation: Operation
    movement: Movement


def settle_borrow(loan: PartnerLoan, operation: Operation) -> None:
    """Give the loan the outcome of its operation, inside the caller's transaction."""
    if operation.state == OperationState.CONFIRMED:
        _activate(loan, operation)
    else:
        _fail(loan, operation)


def activate_all(draws: Sequence[Draw]) -> None:
    """Make loans of different positions ACTIVE, inside the caller's transaction.

    What several of them share is written once; rows of a table are updated in the order of their keys (no deadlocks).
    """
    figures = apply_draws([(draw.movement, draw.loan) for draw in draws])
    for draw, own in sorted(zip(draws, figures, strict=True), key=lambda item: item[0].loan.pk):
        _pay_out(draw, own)
    for draw in sorted(draws, key=lambda draw: draw.loan.oaid_token_id):
        credit.end_reservation(draw.loan.oaid_token_id, draw.loan.principal_amount, draw.movement.block_number)
    for partner_id, amounts in sorted(_by_partner(draws).items()):
        limits.count_borrowed(partner_id=partner_id, amount=sum(amounts), loans=len(amounts))
    record_loan_changes([_paid_out(draw) for draw in draws])


def _activate(loan: PartnerLoan, operation: Operation) -> None:
    activate_all([Draw(loan, operation, movement_of(operation, loan.solvency_position_id))])


def _pay_out(draw: Draw, figures: Mapping[str, object]) -> None:
    _move(
        draw.loan,
        LoanStatus.ACTIVE,
        borrow_tx_hash=draw.movement.tx_hash,
        borrow_block_hash=draw.movement.block_hash,
        borrowed_at=draw.operation.block_time,
        platform_fee_paid=True,
        **draw.movement.evidence,
        **_schedule(draw.loan, draw.operation),
        **figures,
    )


def _by_partner(draws: Sequence[Draw]) -> dict[uuid.UUID, list[int]]:
    amounts: dict[uuid.UUID, list[int]] = {}
    for draw in draws:
        amounts.setdefault(draw.loan.partner_id, []).append(draw.loan.principal_amount)
    return amounts


def _schedule(loan: PartnerLoan, operation: Operation) -> dict[str, object]:
    """The fields of the loan's due dates, counted from the block it was drawn in; empty where it has none."""
    if loan.loan_duration is None or operation.block_time is None:
        return {}
    schedule = schedules.make_schedule(
        principal=loan.principal_amount,
        start=operation.block_time,
        duration_seconds=loan.loan_duration,
        instalments=loan.number_of_installments or 1,
    )
    marked = schedules.mark_schedule(schedule, principal_repaid=0, now=operation.block_time)
    return {"schedule": marked.schedule, "next_due_at": marked.next_due_at, "untold_due_at": marked.next_due_at}


def _fail(loan: PartnerLoan, operation: Operation) -> None:
    _move(
        loan,
        LoanStatus.FAILED,
        failure_reason=operation.reason[:300],
        failure_code=str(ErrorCode.SETTLEMENT_FAILED),
        outstanding_principal=0,
        **failure_evidence(operation),
    )
    reservations.release_loan(loan)
    failed = LoanChange(
        loan=loan,
        action="loan.failed",
        status=LoanStatus.FAILED,
        events=[LoanEvent(type=EventType.LOAN_FAILED)],
        after={"reason": operation.reason[:300]},
    )
    record_loan_changes([failed])


def _move(loan: PartnerLoan, status: LoanStatus, **changes: object) -> None:
    # Only from PENDING: the table of transitions also lets a DEFAULTED loan become ACTIVE, but that is a cure.
    moved = PartnerLoan.objects.filter(pk=loan.pk, status=LoanStatus.PENDING).update(status=status, **changes)
    if moved != 1:
        raise InvariantViolation(f"M2: loan {loan.internal_loan_id} is not PENDING any more")


def _paid_out(draw: Draw) -> LoanChange:
    return LoanChange(
        loan=draw.loan,
        action="loan.borrowed",
        status=LoanStatus.ACTIVE,
        events=[LoanEvent(type=EventType.LOAN_BORROWED, moment=draw.movement.timestamp)],
        after={"txHash": draw.movement.tx_hash},
        days=[days_of_loans.drawn(draw.loan)],
    )
