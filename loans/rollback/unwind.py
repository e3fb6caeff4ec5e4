"""Taking back what a reorg undid: events of a position, newest first, each with all it did to loans and partners.

A ledger entry knows what stood there before it. Undone, an operation of ours is unacknowledged again and its loan or
repayment PENDING: it is settled anew when it lands again. What others did is applied again when the watcher reads it.

A position that cannot be unwound does not keep the watcher from its rollback: `undo_from` says what is owed on it, and
its ledger takes nothing before that was made up for.
"""

import datetime as dt
import logging
from typing import Any

from audit.services import record_change
from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.lending.readings import ReadingRefused
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable
from loans.funding import trusted
from loans.ledger.ledger import CREDIT_FIELDS, LOGS_PER_BLOCK, PART_FIELDS, POOL_FIELDS, order_of
from loans.models import (
    FundingSource,
    LedgerEntry,
    LoanStatus,
    PartnerLoan,
    Repayment,
    RepaymentStatus,
    SolvencyPosition,
)
from loans.positions import credit, holding
from loans.positions.rows import rows_of
from loans.rollback import rewind
from loans.states import REPAYABLE, require_undoing
from partner_platform.core import backoff, clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.invariants import InvariantViolation
from partners import limits

logger = logging.getLogger(__name__)

DATES = ("last_repayment_at", "next_due_at", "defaulted_at")
TEXTS = ("status", "repay_tx_hash", "schedule")


def roll_back(block: int) -> None:
    """Undo whatever was applied from this block on, on every position; may be called again."""
    order = order_of(block, 0)
    moved = SolvencyPosition.objects.filter(ledger_order__gte=order).values_list("position_id", flat=True)
    for position_id in sorted({*moved, *chain_selectors.positions_since(block)}):
        try:
            _roll_back_one(position_id, order)
        except ChainUnavailable as error:
            if not isinstance(error, ReadingRefused):
                raise
            _owe(position_id, order, error)
        except Exception as error:  # noqa: BLE001 - told by `_owe`
            _owe(position_id, order, error)


def owing(limit: int) -> list[SolvencyPosition]:
    """Positions on which a reorg is still to be undone and whose pause is over."""
    return list(owing_query(clock.now())[:limit])


def owing_query(now: dt.datetime) -> Any:
    """The query of `owing`, for the index tests too."""
    return SolvencyPosition.objects.filter(undo_from__gte=0, follow_after__lte=now)


def undo_owed(row: SolvencyPosition) -> None:
    """Undo on the position what could not be undone when the reorg was seen. `row` is altered too."""
    owed = row.undo_from
    if owed is None:
        return
    _roll_back_one(row.position_id, owed)
    SolvencyPosition.objects.filter(pk=row.pk, undo_from=owed).update(undo_from=None)
    row.undo_from = None
    holding.let_go(row)


def unwind(position_id: int, order: int) -> None:
    """Undo the position's events from `order` on, newest first, one transaction each."""
    entries = LedgerEntry.objects.filter(position_id=position_id, order__gte=order).order_by("-order")
    for entry in list(entries):
        run_in_transaction(lambda entry=entry: _undo(entry))  # type: ignore[misc]
    rewind.rewind_pools_word(position_id, order)
    chain_services.unapply_events(position_id=position_id, from_block=order // LOGS_PER_BLOCK)


def _roll_back_one(position_id: int, order: int) -> None:
    unwind(position_id, order)
    rewind.rewind_mirror(position_id, order)
    for row in rows_of([position_id]).values():
        if row.undo_from is None:
            holding.let_go(row)


def _owe(position_id: int, order: int, error: Exception) -> None:
    """Note that what a reorg undid is still to be undone on the position, and hold it until it is."""
    logger.error("position %d: what a reorg undid cannot be taken back yet", position_id, exc_info=error)
    for row in rows_of([position_id]).values():
        owed = order if row.undo_from is None else min(order, row.undo_from)
        SolvencyPosition.objects.filter(pk=row.pk).update(undo_from=owed)
        until = backoff.next_try(row.follow_failures + 1)
        holding.hold(row, until=until, block=owed // LOGS_PER_BLOCK, why=error)


def take_back(operation: Operation) -> None:
    """An operation of ours whose outcome was acted on is undone: take that back, whatever came after it included."""
    loan = PartnerLoan.objects.filter(borrow_operation=operation.pk).first()
    repayment = Repayment.objects.filter(operation=operation.pk).select_related("loan").first()
    if loan is not None and loan.draw_order:
        unwind(loan.solvency_position_id, loan.draw_order)
    elif repayment is not None and repayment.chain_order:
        unwind(repayment.loan.solvency_position_id, repayment.chain_order)

    def reopen() -> None:
        if not chain_services.acknowledge_reopened(operation_id=operation.pk):
            return  # undone with its ledger entry, or by somebody else
        if loan is not None and loan.status == LoanStatus.FAILED:
            _reopen_failed_loan(loan)
        elif repayment is not None and repayment.status == RepaymentStatus.FAILED:
            _reopen_failed_repayment(repayment)

    run_in_transaction(reopen)


def _undo(entry: LedgerEntry) -> None:
    _restore_position(entry)
    for key in sorted(entry.before["loans"]):
        _restore_loan(entry, PartnerLoan.objects.get(pk=key), entry.before["loans"][key])
    if entry.loan_id is not None:
        _undo_draw(PartnerLoan.objects.get(pk=entry.loan_id))
    # With it, not after all of them: stopped in between, no event is left that nothing would apply again.
    chain_services.unapply_events(position_id=entry.position_id, from_block=entry.order // LOGS_PER_BLOCK)
    entry.delete()


def _restore_position(entry: LedgerEntry) -> None:
    before = {name: int(entry.before["position"][name]) for name in POOL_FIELDS}
    mine = SolvencyPosition.objects.filter(position_id=entry.position_id, ledger_order__gte=entry.order)
    if mine.update(**before, updated_at=clock.now()) != 1:
        raise InvariantViolation(f"M5: {entry} was never applied to its position")


def _restore_loan(entry: LedgerEntry, loan: PartnerLoan, before: dict[str, Any]) -> None:
    changes: dict[str, Any] = {name: int(before[name]) for name in PART_FIELDS}
    if "status" in before:  # it was paid, or lost; of the others only the share of the debt changed
        changes |= {name: _value(name, before[name]) for name in CREDIT_FIELDS}
        if loan.status in REPAYABLE and before["status"] in REPAYABLE and loan.default_reason:
            changes.pop("status")  # what staff decided meanwhile stands
        elif before["status"] != loan.status:
            require_undoing(loan.status, before["status"])
        principal = changes["outstanding_principal"] - loan.outstanding_principal
        paid = loan.total_repaid - changes["total_repaid"]
        limits.undo_repayment(
            partner_id=loan.partner_id,
            amount=paid,
            principal=principal,
            counted=_counted(loan.status, changes.get("status", loan.status)),
        )
        changes |= _undo_repayment(entry, loan)
        _record(loan, "loan.undone", changes.get("status", loan.status))
    PartnerLoan.objects.filter(pk=loan.pk).update(**changes, updated_at=clock.now())


def _counted(status: str, former: str) -> dict[str, int]:
    """How the partner's counters of loans move as a loan of this status goes back to the former one."""
    return {
        "active_loans": (former in REPAYABLE) - (status in REPAYABLE),
        "repaid_loans": (former == LoanStatus.REPAID) - (status == LoanStatus.REPAID),
    }


def _undo_repayment(entry: LedgerEntry, loan: PartnerLoan) -> dict[str, Any]:
    """The repayment of this event: one of ours is under way again, another never happened."""
    changes = {}
    for repayment in Repayment.objects.filter(loan=loan.pk, chain_order=entry.order, status=RepaymentStatus.SETTLED):
        blank = {"chain_order": 0, "principal_paid": 0, "interest_paid": 0, "platform_covered": 0}
        if repayment.funding == FundingSource.ONCHAIN:
            reason = "undone by a reorganization of the chain"
            repayment_changes: dict[str, Any] = {"status": RepaymentStatus.FAILED, "failure_reason": reason}
        else:
            claimed = repayment.amount - repayment.platform_covered
            repayment_changes = {
                "status": RepaymentStatus.PENDING,
                "amount": claimed,
                "tx_hash": "",
                "settled_at": None,
            }
            changes["repayment_in_flight"] = True
            operation = _operation_of(repayment)
            trusted.undone(repayment, operation, claimed)
            chain_services.unacknowledge(operation_id=operation.pk)
        Repayment.objects.filter(pk=repayment.pk).update(**blank, **repayment_changes)
    return changes


def _operation_of(repayment: Repayment) -> Operation:
    if repayment.operation is None:
        raise InvariantViolation(f"M3: repayment {repayment.pk} was settled without an operation")
    return repayment.operation


def _undo_draw(loan: PartnerLoan) -> None:
    """The loan is PENDING again, with its reservation; the limits counted it all along."""
    mine = PartnerLoan.objects.filter(pk=loan.pk, status__in=sorted(REPAYABLE), total_repaid=0)
    moved = mine.update(
        status=LoanStatus.PENDING,
        borrow_tx_hash="",
        borrowed_at=None,
        platform_fee_paid=False,
        schedule=[],
        next_due_at=None,
        defaulted_at=None,
        draw_order=0,
        **dict.fromkeys((*PART_FIELDS, "interest_rate"), 0),
        updated_at=clock.now(),
    )
    if moved != 1:
        raise InvariantViolation(f"M2: loan {loan.internal_loan_id} was repaid before it was undone")
    credit.reserve_again(loan.oaid_token_id, loan.principal_amount)
    limits.undo_borrow(partner_id=loan.partner_id, amount=loan.principal_amount)
    chain_services.unacknowledge(operation_id=loan.borrow_operation_id)
    _record(loan, "loan.undone", LoanStatus.PENDING)


def _reopen_failed_loan(loan: PartnerLoan) -> None:
    mine = PartnerLoan.objects.filter(pk=loan.pk, status=LoanStatus.FAILED)
    if mine.update(
        status=LoanStatus.PENDING,
        failure_reason="",
        failure_code="",
        outstanding_principal=loan.principal_amount,
        updated_at=clock.now(),
    ):
        credit.reserve_again(loan.oaid_token_id, loan.principal_amount)
        limits.reserve_again(partner_id=loan.partner_id, amount=loan.principal_amount, day=loan.daily_usage_day)
        _record(loan, "loan.reopened", LoanStatus.PENDING)


def _reopen_failed_repayment(repayment: Repayment) -> None:
    """Its transaction may be mined after all. Its funds were released: what it then pays, the platform covers."""
    free = PartnerLoan.objects.filter(pk=repayment.loan_id, repayment_in_flight__in=[False])
    if free.update(repayment_in_flight=True) != 1:
        raise InvariantViolation(f"M3: loan {repayment.loan_id} has another repayment under way")
    blank = {"funding_transfer": None} if repayment.funding == FundingSource.TRANSFER else {}
    source = {"funding": FundingSource.TRUSTED} if blank else {}
    if source:
        trusted.note_trusted(repayment.partner_id)
    Repayment.objects.filter(pk=repayment.pk, status=RepaymentStatus.FAILED).update(
        status=RepaymentStatus.PENDING, failure_reason="", settled_at=None, **blank, **source
    )


def _value(name: str, stored: Any) -> Any:
    if name in DATES:
        return dt.datetime.fromisoformat(stored) if stored else None
    return stored if name in TEXTS else int(stored)


def _record(loan: PartnerLoan, action: str, status: Any) -> None:
    record_change(
        actor="system",
        action=action,
        target=f"loan:{loan.internal_loan_id}",
        before={"status": str(loan.status), "outstandingPrincipal": str(loan.outstanding_principal)},
        after={"status": str(status), "reason": "a reorganization of the chain"},
    )
