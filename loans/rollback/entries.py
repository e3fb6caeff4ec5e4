"""The rollback of one ledger entry: all that its event did to loans and partners, in one transaction.

An operation of ours is unacknowledged again and its loan or repayment PENDING: it is settled again when it is mined
again. What others did is applied again when the watcher reads it. The partner is told of each loan that an event is
taken back from (`loan.undone`).
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chain import services as chain_services
from chain.models import Operation
from events.kinds import EventType
from loans import days_of_loans
from loans.chain_order import block_of
from loans.funding import trusted
from loans.ledger.entries import PART_FIELDS, loans_before, position_before, was_paid
from loans.ledger.movement import NO_EVIDENCE
from loans.loan_changes import LoanChange, record_loan_changes
from loans.models import (
    FundingSource,
    LedgerEntry,
    LedgerEntryKind,
    LoanStatus,
    PartnerLoan,
    Repayment,
    RepaymentStatus,
    SolvencyPosition,
)
from loans.objects.events import LoanEvent
from loans.positions import credit
from loans.rollback.undone import keep_undone_draw, keep_undone_payment
from loans.states import REPAYABLE, require_rollback
from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode
from partner_platform.core.invariants import InvariantViolation
from partners import limits
from partners.figures.daily_figures import DayMove

REASON = "a reorganization of the chain"
_TOLD = {LedgerEntryKind.PAYMENT: EventType.LOAN_REPAYMENT, LedgerEntryKind.LIQUIDATION: EventType.LOAN_LIQUIDATED}


def rollback_entry(entry: LedgerEntry) -> None:
    """Restore the snapshot of the entry, its repayments and its draw, and delete it, in the caller's transaction."""
    _rollback_position_row(entry)
    for key, before in loans_before(entry).items():
        _rollback_loan(entry, PartnerLoan.objects.get(pk=key), before)
    if entry.loan_id is not None:
        _rollback_draw(entry, PartnerLoan.objects.get(pk=entry.loan_id))
    # With it, not after all of them: stopped in between, no event is left that nothing would apply again.
    chain_services.unapply_events(position_id=entry.position_id, from_block=block_of(entry.order))
    entry.delete()


def _rollback_position_row(entry: LedgerEntry) -> None:
    applied = SolvencyPosition.objects.filter(position_id=entry.position_id, ledger_order__gte=entry.order)
    if applied.update(**position_before(entry), updated_at=clock.now()) != 1:
        raise InvariantViolation(f"M5: {entry} was never applied to its position")


def _rollback_loan(entry: LedgerEntry, loan: PartnerLoan, before: dict[str, Any]) -> None:
    changes, undone = dict(before), []
    if was_paid(before):
        keep_undone_payment(entry, loan, before)
        if loan.status in REPAYABLE and before["status"] in REPAYABLE and loan.default_reason:
            changes.pop("status")  # staff marked or cured it since: that decision is kept
        elif before["status"] != loan.status:
            require_rollback(loan.status, before["status"])
        if loan.status != LoanStatus.LIQUIDATED:
            changes.pop("default_day", None)  # a payment changes none: it defaulted since
        limits.undo_repayment(
            partner_id=loan.partner_id,
            amount=loan.total_repaid - before["total_repaid"],
            principal=before["outstanding_principal"] - loan.outstanding_principal,
            counted=_counted(loan.status, changes.get("status", loan.status)),
        )
        in_flight, repayment_id = _rollback_repayment(entry, loan)
        changes |= in_flight
        status = changes.get("status", loan.status)
        kind = _TOLD[LedgerEntryKind(entry.kind)]
        days = days_of_loans.payment_undone(
            loan,
            moment=entry.moment,
            status=status,
            total_repaid=before["total_repaid"],
            default_day=changes.get("default_day", loan.default_day),
        )
        undone = [undone_change(loan, kind, status=status, moment=entry.moment, repayment_id=repayment_id, days=days)]
    PartnerLoan.objects.filter(pk=loan.pk).update(**changes, updated_at=clock.now())
    record_loan_changes(undone)


def undone_change(
    loan: PartnerLoan,
    kind: EventType,
    *,
    status: str,
    moment: int | None = None,
    repayment_id: UUID | None = None,
    action: str = "loan.undone",
    days: Sequence[DayMove] = (),
) -> LoanChange:
    """That a reorg took back what an event of this kind told of the loan, as of `moment` (None: now)."""
    seconds = int(clock.now().timestamp()) if moment is None else moment
    more = {"undone": str(kind), "reason": REASON}
    event = LoanEvent(type=EventType.LOAN_UNDONE, moment=seconds, repayment_id=repayment_id, more=more)
    return LoanChange(loan=loan, action=action, status=status, events=[event], after={"reason": REASON}, days=days)


def _counted(status: str, former: str) -> dict[str, int]:
    """How the partner's counters of loans move as a loan of this status goes back to the former one."""
    return {
        "active_loans": (former in REPAYABLE) - (status in REPAYABLE),
        "repaid_loans": (former == LoanStatus.REPAID) - (status == LoanStatus.REPAID),
    }


def _rollback_repayment(entry: LedgerEntry, loan: PartnerLoan) -> tuple[dict[str, object], UUID | None]:
    """The event's repayment of the loan: one of ours is PENDING again, another never happened.

    Returns what changes of the loan with it, and the repayment's key.
    """
    changes: dict[str, Any] = {}
    found = None
    for repayment in Repayment.objects.filter(loan=loan.pk, chain_order=entry.order, status=RepaymentStatus.SETTLED):
        own: dict[str, Any]
        if repayment.funding == FundingSource.ONCHAIN:
            own = {"status": RepaymentStatus.FAILED, "failure_reason": f"undone by {REASON}"}
            own["failure_code"] = str(ErrorCode.SETTLEMENT_FAILED)
        else:
            claimed = repayment.amount - repayment.platform_covered
            own = {"status": RepaymentStatus.PENDING, "amount": claimed, "tx_hash": "", "settled_at": None}
            changes["repayment_in_flight"] = True
            operation = _operation_of(repayment)
            trusted.uncount_spent(repayment, operation, claimed)
            chain_services.unacknowledge(operation_id=operation.pk)
        blank = {"chain_order": 0, "principal_paid": 0, "interest_paid": 0, "platform_covered": 0}
        Repayment.objects.filter(pk=repayment.pk).update(**blank, **own, **NO_EVIDENCE)
        found = repayment.pk
    return changes, found


def _operation_of(repayment: Repayment) -> Operation:
    if repayment.operation is None:
        raise InvariantViolation(f"M3: repayment {repayment.pk} was settled without an operation")
    return repayment.operation


def _rollback_draw(entry: LedgerEntry, loan: PartnerLoan) -> None:
    """The loan is PENDING again, with its reservation; the limits counted it all along."""
    drawn = PartnerLoan.objects.filter(pk=loan.pk, status__in=sorted(REPAYABLE), total_repaid=0)
    moved = drawn.update(
        status=LoanStatus.PENDING,
        borrow_tx_hash="",
        borrow_block_hash="",
        borrowed_at=None,
        platform_fee_paid=False,
        schedule=[],
        next_due_at=None,
        untold_due_at=None,
        defaulted_at=None,
        default_day=None,
        draw_order=0,
        **NO_EVIDENCE,
        **dict.fromkeys((*PART_FIELDS, "interest_rate_bps"), 0),
        updated_at=clock.now(),
    )
    if moved != 1:
        raise InvariantViolation(f"M2: loan {loan.internal_loan_id} was repaid before it was undone")
    keep_undone_draw(entry, loan)
    credit.restore_reservation(loan.oaid_token_id, loan.principal_amount)
    limits.undo_borrow(partner_id=loan.partner_id, amount=loan.principal_amount)
    chain_services.unacknowledge(operation_id=loan.borrow_operation_id)
    kind, status = EventType.LOAN_BORROWED, LoanStatus.PENDING
    days = days_of_loans.draw_undone(loan)
    record_loan_changes([undone_change(loan, kind, status=status, moment=entry.moment, days=days)])
