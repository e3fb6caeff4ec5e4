"""The usual case, many at once: confirmed draws of different positions settle in one transaction.

On SQLite all writers take turns, and a transaction's beginning and end cost about as much as what a draw writes in
between; many draws in one share also the statements that do not differ (docs/databases.md). Whatever is out of the
ordinary, a conflict included, undoes all of it and is left to `services.settle`, which takes one operation at a time
and knows what to do.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chain import services as chain_services
from chain.models import Operation, OperationState
from loans.ledger.movement import movement_of
from loans.models import PartnerLoan
from loans.services.settle_borrow import Draw, activate_all
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

DRAWS_AT_ONCE = 20  # others wait for the rows it holds, so not more than pays


class _NotAsRead(Exception):
    """A reorg, or another sweep, was there first."""


def runs(operations: Sequence[Operation], loans: Mapping[Any, PartnerLoan]) -> Iterator[list[Operation]]:
    """Cut operations, in their order, into what may settle together and, one by one, the rest.

    `loans` are those that some of the operations draw, by the operation's key.
    """
    run: list[Operation] = []
    taken: set[tuple[int, int]] = set()
    for operation in operations:
        touched = _touched(operation, loans)
        if run and (touched is None or touched in taken or len(run) == DRAWS_AT_ONCE):
            yield run
            run, taken = [], set()
        if touched is None:
            yield [operation]
        else:
            run.append(operation)
            taken.add(touched)
    if run:
        yield run


def settle_together(operations: Sequence[Operation], loans: Mapping[Any, PartnerLoan]) -> bool:
    """Settle a run of draws; False, and nothing was done, where one of them needs a closer look."""
    try:
        draws = [_draw(operation, loans[operation.pk]) for operation in operations]
        run_in_transaction(lambda: _settle(operations, draws), retry_seconds=0)
    except Exception as reason:  # noqa: BLE001 - what is wrong is told by whoever takes them one by one
        logger.info("%d draws are settled one by one: %s", len(operations), reason)
        return False
    return True


def _touched(operation: Operation, loans: Mapping[Any, PartnerLoan]) -> tuple[int, int] | None:
    """The position and the OAID of a confirmed draw; None of anything else."""
    loan = loans.get(operation.pk)
    if loan is None or operation.state != OperationState.CONFIRMED:
        return None
    return loan.solvency_position_id, loan.oaid_token_id


def _draw(operation: Operation, loan: PartnerLoan) -> Draw:
    return Draw(loan, operation, movement_of(operation, loan.solvency_position_id))


def _settle(operations: Sequence[Operation], draws: Sequence[Draw]) -> None:
    if not chain_services.acknowledge_all(operations=operations):
        raise _NotAsRead("one of them is no longer as it was read")
    activate_all(draws)
