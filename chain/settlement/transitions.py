"""Moving operations and transactions from state to state: guarded updates, in bulk where a bundle shares them.

An update is filtered on the states that the edge may start from (`chain.states`), so that a row which moved meanwhile
is left alone. Everything here runs in a database transaction that the lease fences (`chain.wallet.lease`).
"""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.models import ChainTransaction, Operation, OperationState, TransactionState
from chain.services import NOT_PUT_OFF
from chain.settlement.engine import Engine
from chain.settlement.verdicts import OperationVerdict
from chain.states import FINAL_OPERATION_STATES, allowed_from
from partner_platform.core import clock

logger = logging.getLogger(__name__)

REASON_LENGTH = 300


@dataclass(frozen=True)
class Block:
    """A canonical block."""

    number: int
    hash: str
    time: dt.datetime

    @classmethod
    def from_json(cls, block: dict[str, Any]) -> "Block":
        time = dt.datetime.fromtimestamp(int(block["timestamp"], 16), dt.UTC)
        return cls(number=int(block["number"], 16), hash=block["hash"], time=time)

    def operation_fields(self) -> dict[str, object]:
        return {"block_number": self.number, "block_hash": self.hash, "block_time": self.time}

    def transaction_fields(self) -> dict[str, object]:
        return {"block_number": self.number, "block_hash": self.hash}


NO_BLOCK: dict[str, object] = {"block_number": None, "block_hash": ""}
NO_TRANSACTION: dict[str, object] = {"transaction": None, "position_in_bundle": 0}
# With a final state the owner's part begins: it has not tried yet, and its waiting time counts from now.
FRESHLY_FINAL: dict[str, object] = {**NOT_PUT_OFF, "open_since_block": None, "overdue_told": False}
NO_OUTCOME: dict[str, object] = {"tx_hash": "", **NO_BLOCK, "block_time": None, "outcome_logs": None}


def move_operations(operations: Sequence[Operation], target: OperationState, **fields: object) -> int:
    """Move operations into `target` where the table of edges allows it, in one update; returns how many moved.

    Inside the caller's database transaction.
    """
    if not operations:
        return 0
    guarded = Operation.objects.filter(
        pk__in=[operation.pk for operation in operations], state__in=allowed_from(target)
    )
    moved = guarded.update(state=target, updated_at=clock.now(), **fields)
    if moved != len(operations):
        logger.error("%d of %d operations could not become %s", len(operations) - moved, len(operations), target)
    return moved


def move_transaction(transaction: ChainTransaction, target: TransactionState, **fields: object) -> bool:
    """Move a transaction into `target`; False where the table of edges does not allow it. Inside a database
    transaction.
    """
    guarded = ChainTransaction.objects.filter(pk=transaction.pk, state__in=allowed_from(target))
    return guarded.update(state=target, updated_at=clock.now(), **fields) == 1


def store_verdicts(judged: Sequence[tuple[Operation, OperationVerdict]], **fields: object) -> None:
    """Write the final states of operations of one block: one update for the confirmed ones, one for all their logs."""
    confirmed = [operation for operation, verdict in judged if verdict.state == OperationState.CONFIRMED]
    move_operations(confirmed, OperationState.CONFIRMED, reason="", **FRESHLY_FINAL, **fields)
    for operation, verdict in judged:
        if verdict.state == OperationState.CONFIRMED:
            operation.outcome_logs = verdict.logs
        else:
            move_operations(
                [operation], verdict.state, reason=verdict.reason[:REASON_LENGTH], **FRESHLY_FINAL, **fields
            )
    Operation.objects.bulk_update(confirmed, ["outcome_logs"])


def finish_operation(engine: Engine, operation: Operation, verdict: OperationVerdict, **fields: object) -> None:
    """Settle one operation in a database transaction of its own."""
    engine.lease.write(lambda: store_verdicts([(operation, verdict)], **fields))
    note_settled(engine, [(operation, verdict)])


def note_settled(engine: Engine, judged: Iterable[tuple[Operation, OperationVerdict]]) -> None:
    """After the commit: remember which operations are to be announced, log those that need review."""
    for operation, verdict in judged:
        if verdict.state in FINAL_OPERATION_STATES:
            engine.settled_keys.append(operation.key)
        else:
            logger.error("operation %s needs review: %s", operation.key, verdict.reason)


def leave_transaction(operation: Operation) -> dict[str, object]:
    """The fields of an operation that goes back to the queue: no transaction, and one more former transaction."""
    return {**NO_TRANSACTION, "former_transactions": [*operation.former_transactions, str(operation.transaction_id)]}
