"""Settling: a final operation becomes a final loan or repayment, exactly once.

A sweep over operations that are final and not acknowledged, so that a lost message heals itself. Each is settled in one
transaction that begins by acknowledging it: whoever comes second finds that done and does nothing. Plain draws share a
transaction (`services.settle_together`)."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain import system
from chain.models import Operation, OperationState
from loans.models import PartnerLoan, Repayment
from loans.services import borrow, repay, settle_together, unwind
from loans.services.follow import follow_chain_quietly
from loans.services.gaps import find_missing
from loans.services.ledger import LedgerContended, LedgerGap, LedgerPassed
from loans.services.positions import ensure_mirrored
from loans.services.settle_borrow import settle_borrow
from loans.services.settle_repayment import settle_repayment
from partner_platform.core import wakeup
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)

BATCH = 100
MAX_TRIES = 5


def settle_due() -> int:
    """Settle whatever is due, in the order of the chain; answers how many operations were settled.

    One that cannot be settled (a broken invariant) is logged and left unacknowledged; it never holds up the others.
    """
    _take_back_reopened()
    settled = _settle_all()
    if _gaps() and follow_chain_quietly():
        settled += _settle_all()
        if (gaps := _gaps()) and find_missing(gaps) and follow_chain_quietly():
            settled += _settle_all()
    return settled


def _settle_all() -> int:
    settled = 0
    while operations := _due():
        system.forget_block()  # whoever is told of a settled loan must not be shown the chain as it was before it
        loans = _loans_of(operations)
        ends = _ends(operations, loans)
        before = settled
        for run in settle_together.runs(operations, loans):
            settled += _settle_run(run, loans, ends)
        if settled == before:
            break
    return settled


def _settle_run(run: list[Operation], loans: dict[Any, PartnerLoan], ends: dict[Any, Callable[[], None]]) -> int:
    if len(run) > 1 and settle_together.settle_together(run, loans):
        wakeup.ring(*(operation.key for operation in run))
        return len(run)
    return sum(_settle_one(operation, ends[operation.pk]) for operation in run)


def _take_back_reopened() -> None:
    """What a reorg undid after it was settled is taken back first; the newest operation first."""
    for kind in (borrow.OPERATION_KIND, repay.OPERATION_KIND):
        for operation in chain_selectors.reopened(kind, BATCH):
            try:
                unwind.take_back(operation)
            except Exception:
                logger.exception("could not take back %s; it stays reopened", operation.key)


def _gaps() -> dict[int, int]:
    """What is confirmed and was not settled, for what happened before it may not be known: position -> block."""
    confirmed = [operation for operation in _due() if operation.state == OperationState.CONFIRMED]
    ids = [operation.pk for operation in confirmed]
    drawn = PartnerLoan.objects.filter(borrow_operation__in=ids).values_list("borrow_operation", "solvency_position_id")
    paid = Repayment.objects.filter(operation__in=ids).values_list("operation", "loan__solvency_position_id")
    positions = {**dict(drawn), **dict(paid)}
    return {positions[row.pk]: row.block_number or 0 for row in confirmed if row.pk in positions}


def _due() -> list[Operation]:
    """Borrows and repayments together: a position's ledger takes its events in the order they stand on the chain."""
    found = [
        operation
        for kind in (borrow.OPERATION_KIND, repay.OPERATION_KIND)
        for operation in chain_selectors.unacknowledged(kind, BATCH)
    ]
    return sorted(found, key=lambda operation: (operation.block_number or 0, _index(operation)))


def _index(operation: Operation) -> int:
    return system.movement_index(operation.outcome_logs or [])


def _ends(operations: Sequence[Operation], loans: dict[Any, PartnerLoan]) -> dict[Any, Callable[[], None]]:
    """What is to be done for each operation."""
    repayments = _repayments_of([operation for operation in operations if operation.pk not in loans])
    ends: dict[Any, Callable[[], None]] = {}
    for operation in operations:
        if operation.pk in loans:
            ends[operation.pk] = partial(settle_borrow, loans[operation.pk], operation)
        else:
            ends[operation.pk] = partial(settle_repayment, repayments[operation.pk], operation)
    return ends


def _settle_one(operation: Operation, end: Callable[[], None]) -> bool:
    def settle_once() -> bool:
        if not chain_services.acknowledge(operation=operation):
            return False
        end()
        return True

    try:
        done = _with_patience(settle_once, operation)
    except Exception:
        logger.exception("could not settle %s; it stays unacknowledged", operation.key)
        return False
    if done:
        wakeup.ring(operation.key)
    return done


def _with_patience(settle_once: Callable[[], bool], operation: Operation) -> bool:
    """Run it in a transaction; again where the position moved meanwhile, or had moved too far."""
    for _ in range(MAX_TRIES):
        try:
            return run_in_transaction(settle_once)
        except LedgerContended as error:
            logger.info("%s again: %s", operation.key, error)
        except LedgerPassed as passed:
            logger.warning("%s: %s; that is taken back and applied again in its order", operation.key, passed)
            unwind.unwind(passed.position_id, passed.order)
        except LedgerGap as gap:
            logger.warning("%s waits for what happened before it: %s", operation.key, gap)
            return False
    return False


def _loans_of(operations: Sequence[Operation]) -> dict[Any, PartnerLoan]:
    found = PartnerLoan.objects.filter(borrow_operation__in=[operation.pk for operation in operations])
    loans = {loan.borrow_operation_id: loan for loan in found}
    ensure_mirrored({loan.solvency_position_id for loan in loans.values()})
    return loans


def _repayments_of(operations: Sequence[Operation]) -> dict[Any, Repayment]:
    found = Repayment.objects.filter(operation__in=[operation.pk for operation in operations])
    return {repayment.operation_id: repayment for repayment in found}
