"""Settling: a final operation becomes a final loan or repayment, exactly once.

A sweep goes over all operations that are final and not acknowledged, so a lost message does no harm. Each is settled in
one transaction that begins by acknowledging it: a second worker finds that done and does nothing. Plain draws share a
transaction (`services.settle_together`).

An operation that cannot be settled (an earlier event is not known yet, an invariant is broken, any error) is put off on
its own, with a growing pause. It leaves the sweep's query, so that it costs the others nothing, and its position is
held (`positions.holding`), so that later operations on that position wait for it. Operations that were never tried come
first, oldest first; then a few of those whose pause is over.
"""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.lending import readings
from chain.models import Operation, OperationState
from loans.ledger.errors import LedgerContended, LedgerGap, LedgerPassed
from loans.ledger.gaps import find_missing
from loans.positions import holding
from loans.rollback.operations import rollback_operation
from loans.rollback.positions import rollback_ledger
from loans.services import settle_together
from loans.services.follow import follow_chain_quietly
from loans.services.open_loan import BORROW_KIND
from loans.services.open_repayment import REPAY_KIND
from loans.services.settling_work import UnknownOperation, Work
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.redis import wakeup
from partner_platform.core.text.wording import reason

logger = logging.getLogger(__name__)

OPERATION_KINDS = (BORROW_KIND, REPAY_KIND)
OPERATIONS_AT_ONCE = 100
OPERATIONS_TRIED_AGAIN = 20  # of those that failed before, in one sweep: it stays short however many there are
MAX_SETTLE_TRIES = 5


def settle_due(*, at_each_step: Callable[[], None] = lambda: None) -> int:
    """Settle whatever is due, in the order of the chain; returns how many operations were settled.

    `at_each_step` is called before each operation, or run of operations, that is settled: a sweep of many takes long.
    """
    _rollback_reopened(at_each_step)
    sweep = _Sweep(at_each_step)
    sweep.run()
    if sweep.gaps and follow_chain_quietly():
        sweep.run_fresh()  # following released what waited for those events
        if sweep.gaps and find_missing(sweep.gaps) and follow_chain_quietly():
            sweep.run_fresh()
    return sweep.settled


def _rollback_reopened(at_each_step: Callable[[], None]) -> None:
    """Roll back the operations that a reorg undid after they were settled, the newest first."""
    for operation in chain_selectors.reopened(OPERATION_KINDS, OPERATIONS_AT_ONCE):
        at_each_step()
        try:
            rollback_operation(operation)
        except Exception as error:  # noqa: BLE001 - logged below
            _log(operation, error, "could not roll back")
            chain_services.put_off(operation=operation, why=reason(error))


class BlockReplaced(Exception):
    """The operation was confirmed in a block that the chain does not have any more."""


class _Sweep:
    """One pass over all operations that are due."""

    def __init__(self, at_each_step: Callable[[], None]) -> None:
        self._at_each_step = at_each_step
        self.settled = 0
        # Positions of which an earlier event is missing -> the block of the operation that waits for it.
        self.gaps: dict[int, int] = {}

    def run(self) -> None:
        self.run_fresh()
        if operations := chain_selectors.due_again(OPERATION_KINDS, OPERATIONS_TRIED_AGAIN):
            before = self.settled
            self._moves(operations)
            if self.settled > before:
                self.run_fresh()

    def run_fresh(self) -> None:
        """Settle or put off all that were never tried, or no longer wait for anything."""
        while operations := chain_selectors.unacknowledged(OPERATION_KINDS, OPERATIONS_AT_ONCE):
            if not self._moves(operations):
                return

    def _moves(self, operations: Sequence[Operation]) -> bool:
        """Settle these or put them off; False where another sweep had done so with all of them."""
        readings.forget_block()  # who sees a settled loan must not see the chain as of a block before it
        work, self._moved = Work(operations), 0
        behind: dict[int, list[Operation]] = {}
        replaced = self._put_off_replaced(work)
        for run in settle_together.runs([each for each in work.operations if each.pk not in replaced], work.loans):
            waiting = [operation for operation in run if work.must_wait(operation)]
            for operation in waiting:
                behind.setdefault(work.position_id_of(operation), []).append(operation)
            self._settle_run([operation for operation in run if operation not in waiting], work)
        for position_id, operations_behind in behind.items():
            self._moved += holding.postpone_operations(work.rows[position_id], operations_behind)
        return self._moved > 0

    def _put_off_replaced(self, work: Work) -> set[UUID]:
        """Put off what was confirmed in a block that a reorg replaced since: it is settled once a driver has seen that
        and has confirmed it anew. It holds back nothing on its position: what is not on the chain comes before nothing.
        """
        places = {
            operation.pk: (operation.block_number, operation.block_hash)
            for operation in work.operations
            if operation.state == OperationState.CONFIRMED and operation.block_number is not None
        }
        gone = chain_selectors.replaced_blocks(set(places.values())) if places else set()
        replaced = [operation for operation in work.operations if places.get(operation.pk) in gone]
        for operation in replaced:
            error = BlockReplaced(f"block {operation.block_number} is no longer on the chain")
            _log(operation, error, "could not settle")
            chain_services.put_off(operation=operation, why=reason(error))
            self._moved += 1
        return {operation.pk for operation in replaced}

    def _settle_run(self, run: list[Operation], work: Work) -> None:
        self._at_each_step()
        if len(run) > 1 and settle_together.settle_together(run, work.loans):
            self._note_settled(run, work)
            return
        for operation in run:
            self._at_each_step()
            try:
                if _settle_one(operation, work.end_of(operation)):
                    self._note_settled([operation], work)
            except Exception as error:  # noqa: BLE001 - `_put_off` logs it
                self._put_off(operation, work, error)

    def _note_settled(self, run: list[Operation], work: Work) -> None:
        self.settled += len(run)
        self._moved += len(run)
        wakeup.wake(*(operation.key for operation in run))
        rows = [row for operation in run if (row := work.position_of(operation)) is not None]
        for row in rows:
            self.gaps.pop(row.position_id, None)
        holding.end_holds(rows)

    def _put_off(self, operation: Operation, work: Work, error: Exception) -> None:
        _log(operation, error, "could not settle")
        until = chain_services.put_off(operation=operation, why=reason(error))
        self._moved += 1
        if (row := work.position_of(operation)) is not None:
            if isinstance(error, LedgerGap):
                self.gaps[row.position_id] = operation.block_number or 0
            was_held = row.follow_failures > 0
            work.stopped.add(row.position_id)
            holding.hold_position(row, until=until, block=operation.block_number or 0, why=error, operation=operation)
            if was_held:
                holding.postpone_all_operations(row)


def _settle_one(operation: Operation, end: Callable[[], None]) -> bool:
    """Settle it; False where another sweep had done so, or a reorg undid it. Raises whatever prevents it."""

    def settle_once() -> bool:
        if not chain_services.acknowledge(operation=operation):
            return False
        end()
        return True

    for tries_left in reversed(range(MAX_SETTLE_TRIES)):
        try:
            return run_in_transaction(settle_once)
        except LedgerContended as error:
            if not tries_left:
                raise
            logger.info("%s again: %s", operation.key, error)
        except LedgerPassed as passed:
            if not tries_left:
                raise
            logger.warning("%s: %s; that is rolled back and applied again in its order", operation.key, passed)
            rollback_ledger(passed.position_id, passed.order)
    raise AssertionError("unreachable")


def _log(operation: Operation, error: Exception, what: str) -> None:
    """ERROR with the traceback at the first failure, then one line; a warning where it only waits for an event."""
    if isinstance(error, BlockReplaced):
        logger.warning("%s waits for the driver: %s", operation.key, error)
    elif isinstance(error, LedgerGap | LedgerContended):
        logger.warning("%s waits for what happened before it: %s", operation.key, error)
    elif operation.settle_failures or isinstance(error, UnknownOperation):
        level = logging.WARNING if operation.settle_failures else logging.ERROR
        logger.log(level, "%s %s: %s", what, operation.key, reason(error))
    else:
        logger.error("%s %s; it is put off by itself", what, operation.key, exc_info=error)
