"""Settling: a final operation becomes a final loan or repayment, exactly once.

A sweep over operations that are final and not acknowledged, so that a lost message heals itself. Each is settled in one
transaction that begins by acknowledging it: whoever comes second finds that done and does nothing."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain import system
from chain.models import Operation
from loans.models import PartnerLoan, Repayment
from loans.services import borrow, repay
from loans.services.positions import ensure_mirrored
from loans.services.settle_borrow import settle_borrow
from loans.services.settle_repayment import settle_repayment
from partner_platform.core import wakeup
from partner_platform.core.database import run_in_transaction

logger = logging.getLogger(__name__)

BATCH = 100


def settle_due() -> int:
    """Settle whatever is due; answers how many operations were settled.

    One that cannot be settled (a broken invariant) is logged and left unacknowledged; it never holds up the others.
    """
    return _sweep(borrow.OPERATION_KIND, _loans_of, settle_borrow) + _sweep(
        repay.OPERATION_KIND, _repayments_of, settle_repayment
    )


def _sweep(kind: str, find: Callable[[Sequence[Operation]], dict[Any, Any]], settle: Callable[..., None]) -> int:
    settled = 0
    while operations := chain_selectors.unacknowledged(kind, BATCH):
        system.forget_block()  # whoever is told of a settled loan must not be shown the chain as it was before it
        subjects = find(operations)
        before = settled
        for operation in operations:
            settled += _settle_one(operation, subjects[operation.pk], settle)
        if settled == before:
            break
    return settled


def _settle_one(operation: Operation, subject: Any, settle: Callable[..., None]) -> bool:
    def settle_once() -> bool:
        if not chain_services.acknowledge(operation_id=operation.pk):
            return False
        settle(subject, operation)
        return True

    try:
        done = run_in_transaction(settle_once)
    except Exception:
        logger.exception("could not settle %s; it stays unacknowledged", operation.key)
        return False
    if done:
        wakeup.ring(operation.key)
    return done


def _loans_of(operations: Sequence[Operation]) -> dict[Any, PartnerLoan]:
    found = PartnerLoan.objects.filter(borrow_operation__in=[operation.pk for operation in operations])
    loans = {loan.borrow_operation_id: loan for loan in found}
    ensure_mirrored({loan.solvency_position_id for loan in loans.values()})
    return loans


def _repayments_of(operations: Sequence[Operation]) -> dict[Any, Repayment]:
    found = Repayment.objects.filter(operation__in=[operation.pk for operation in operations])
    return {repayment.operation_id: repayment for repayment in found}
