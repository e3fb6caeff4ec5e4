"""Settling a repayment: the debt falls by what was paid, or the loan and its funds are free again (M3)."""

from collections.abc import Mapping

from chain.lending import funding, operations
from chain.models import Operation, OperationState
from events.kinds import EventType
from loans.debt import interest, payoffs
from loans.debt.interest import PositionDebt
from loans.funding import trusted
from loans.ledger import payments
from loans.ledger.apply import apply_payment
from loans.ledger.movement import Movement, failure_evidence, movement_of
from loans.ledger.shares import AppliedPayment
from loans.loan_changes import LoanChange, loan_figures, record_loan_changes
from loans.models import FundingSource, PartnerLoan, Repayment, RepaymentSource, RepaymentStatus
from loans.objects.events import LoanEvent
from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode
from partner_platform.core.invariants import InvariantViolation


def settle_repayment(repayment: Repayment, operation: Operation) -> None:
    """Give the repayment the outcome of its operation, inside the caller's transaction."""
    loan = PartnerLoan.objects.get(pk=repayment.loan_id)
    if operation.state == OperationState.CONFIRMED:
        _credit(loan, repayment, operation)
    else:
        _fail(loan, repayment, operation)


def apply(loan: PartnerLoan, repayment: Repayment, movement: Movement, paid: int) -> list[AppliedPayment]:
    """Move the position's ledger by a payment of ours; returns what it did to each loan."""
    key = str(loan.pk)

    def allocate(debt: PositionDebt) -> tuple[PositionDebt, Mapping[str, int]]:
        terms = repayment.payoff_terms
        if terms is not None and paid >= min(payoffs.due_by(terms, movement.timestamp), debt.total):
            return interest.after_payoff(debt, key, paid)
        order = [key, *(other for other in debt.parts if other != key)]
        shares = interest.allocate(debt.owed(), order, paid)
        return interest.after_payment(debt, shares), shares

    return apply_payment(movement, allocate, target=loan, amount=paid)


def _credit(loan: PartnerLoan, repayment: Repayment, operation: Operation) -> None:
    paid = operations.repaid_amount(operation)
    movement = movement_of(operation, loan.solvency_position_id)
    changes: list[LoanChange] = []
    for item in sorted(apply(loan, repayment, movement, paid), key=lambda item: item.loan.pk):
        if item.loan.pk == loan.pk:
            changes.append(_settle_own(item, repayment, operation, paid, movement))
        elif item.paid:  # base units of rounding that the payment of its own loan did not use
            changes.append(payments.book_onchain_payment(item, movement, source=RepaymentSource.PARTNER))
        else:
            payments.book_shifted_share(item)
    record_loan_changes(changes)


def _settle_own(
    item: AppliedPayment, repayment: Repayment, operation: Operation, paid: int, movement: Movement
) -> LoanChange:
    claimed = repayment.amount
    is_pulled = repayment.funding == FundingSource.PULLED
    _finish(
        repayment,
        RepaymentStatus.SETTLED,
        amount=item.paid,
        principal_paid=item.principal,
        interest_paid=item.interest,
        # Negative where it paid more than its own loan owed: the rest went to other loans of the position.
        platform_covered=item.paid - (paid if is_pulled else min(claimed, paid)),
        chain_order=movement.order,
        tx_hash=operation.tx_hash,
        settled_at=operation.block_time,
        **movement.evidence,
    )
    source = RepaymentSource(repayment.repaid_by)
    if item.paid:
        change = payments.book_payment(item, movement, source=source, repayment_id=repayment.pk, frees_loan=True)
    else:
        change = payments.book_late_repayment(item, movement, paid, repayment_id=repayment.pk)
    _give_back(repayment, max(claimed - paid, 0))
    trusted.count_spent(repayment, operation, min(claimed, paid), movement.block_number)
    return change


def _fail(loan: PartnerLoan, repayment: Repayment, operation: Operation) -> None:
    _finish(
        repayment,
        RepaymentStatus.FAILED,
        failure_reason=operation.reason[:300],
        failure_code=str(ErrorCode.SETTLEMENT_FAILED),
        settled_at=clock.now(),
        **failure_evidence(operation),
    )
    payments.update_loan(loan, frees_loan=True)
    _give_back(repayment, repayment.amount)
    failed = LoanChange(
        loan=loan,
        action="loan.repayment_failed",
        status=loan.status,
        events=[LoanEvent(type=EventType.REPAYMENT_FAILED, repayment_id=repayment.pk)],
        after={**loan_figures(loan), "reason": operation.reason[:300]},
    )
    record_loan_changes([failed])


def _finish(repayment: Repayment, status: RepaymentStatus, **changes: object) -> None:
    mine = Repayment.objects.filter(pk=repayment.pk, status=RepaymentStatus.PENDING)
    if mine.update(status=status, **changes) != 1:
        raise InvariantViolation(f"M3: repayment {repayment.pk} is not pending any more")


def _give_back(repayment: Repayment, amount: int) -> None:
    if repayment.funding_transfer_id is None or amount == 0:
        return
    if not funding.give_back(transfer_id=repayment.funding_transfer_id, amount=amount):
        raise InvariantViolation(f"M3: repayment {repayment.pk} never claimed {amount}")
