"""Settling many borrows in one transaction: the usual case, confirmed draws of different positions.

On SQLite all writers take turns, and the begin and commit of a transaction cost about as much as what a draw writes in
between; draws in one transaction also share some statements (docs/databases.md). Anything unusual, a conflict included,
rolls all of it back; `services.settle` then settles the operations one at a time.
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

DRAWS_AT_ONCE = 20  # other transactions wait for the rows it locks; more draws would gain little


class _NotAsRead(Exception):
    """A reorg or another sweep changed one of the operations since it was read."""


def runs(operations: Sequence[Operation], loans: Mapping[Any, PartnerLoan]) -> Iterator[list[Operation]]:
    """Split operations, in their order, into runs that may settle together and, one by one, the rest.

    `loans` holds the loan that an operation draws, by the operation's primary key.
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
    """Settle a run of draws; False, with nothing done, where one of them must be settled on its own."""
    try:
        draws = [_draw(operation, loans[operation.pk]) for operation in operations]
        run_in_transaction(lambda: _settle(operations, draws), retry_seconds=0)
    except Exception as reason:  # noqa: BLE001 - settling them one by one logs what is wrong
        logger.info("%d draws are settled one by one: %s", len(operations), reason)
        return False
    return True


def _touched(operation: Operation, loans: Mapping[object, PartnerLoan]) -> tuple[int, int] | None:
    """The position and the OAID of a confirmed draw; None for any other operation."""
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
