"""Writing what the chain says: guarded updates, bulk where a transaction's operations share it, all under the lease."""

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

_REASON_LENGTH = 300


@dataclass(frozen=True)
class Block:
    """A canonical block."""

    number: int
    hash: str
    time: dt.datetime

    @classmethod
    def from_json(cls, block: dict[str, Any]) -> "Block":
        moment = dt.datetime.fromtimestamp(int(block["timestamp"], 16), dt.UTC)
        return cls(number=int(block["number"], 16), hash=block["hash"], time=moment)

    def operation_fields(self) -> dict[str, Any]:
        return {"block_number": self.number, "block_hash": self.hash, "block_time": self.time}

    def transaction_fields(self) -> dict[str, Any]:
        return {"block_number": self.number, "block_hash": self.hash}


NO_BLOCK: dict[str, Any] = {"block_number": None, "block_hash": ""}
NO_TRANSACTION: dict[str, Any] = {"transaction": None, "position_in_bundle": 0}
# Whoever acts on a final state begins anew with it: nothing was tried yet, and from now on it is theirs that waits.
NEWS: dict[str, Any] = {**NOT_PUT_OFF, "open_since_block": None, "overdue_told": False}
NO_OUTCOME: dict[str, Any] = {"tx_hash": "", **NO_BLOCK, "block_time": None, "outcome_logs": None}


def move_operations(operations: Sequence[Operation], target: OperationState, **fields: Any) -> int:
    """Move operations into `target` where its table allows it, in one update; answers how many moved. In a
    transaction.
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


def move_transaction(transaction: ChainTransaction, target: TransactionState, **fields: Any) -> bool:
    """Move a transaction into `target` where its table allows it; False where it is elsewhere. In a transaction."""
    guarded = ChainTransaction.objects.filter(pk=transaction.pk, state__in=allowed_from(target))
    return guarded.update(state=target, updated_at=clock.now(), **fields) == 1


def store_verdicts(judged: Sequence[tuple[Operation, OperationVerdict]], **fields: Any) -> None:
    """Final states of operations that landed together: one update for all that are alike, one for all their logs."""
    confirmed = [operation for operation, verdict in judged if verdict.state == OperationState.CONFIRMED]
    move_operations(confirmed, OperationState.CONFIRMED, reason="", **NEWS, **fields)
    for operation, verdict in judged:
        if verdict.state == OperationState.CONFIRMED:
            operation.outcome_logs = verdict.logs
        else:
            move_operations([operation], verdict.state, reason=verdict.reason[:_REASON_LENGTH], **NEWS, **fields)
    Operation.objects.bulk_update(confirmed, ["outcome_logs"])


def finish_operation(engine: Engine, operation: Operation, verdict: OperationVerdict, **fields: Any) -> None:
    """Settle one operation in a transaction of its own."""
    engine.lease.write(lambda: store_verdicts([(operation, verdict)], **fields))
    note_settled(engine, [(operation, verdict)])


def note_settled(engine: Engine, judged: Iterable[tuple[Operation, OperationVerdict]]) -> None:
    """After the commit: remember whose owners must be told, tell somebody about what needs a person."""
    for operation, verdict in judged:
        if verdict.state in FINAL_OPERATION_STATES:
            engine.settled_keys.append(operation.key)
        else:
            logger.error("operation %s needs review: %s", operation.key, verdict.reason)


def requeue(operations: Sequence[Operation], why: str) -> None:
    """Queue the operations of a transaction that did nothing again, in smaller groups; one that was alone twice needs
    review.

    Inside the caller's database transaction. Should a reorg let the old transaction run after all, the uid prevents a
    second effect, and `former_transactions` prevents that the operation is refused before this is impossible.
    """
    alone_again = [op for op in operations if len(operations) == 1 and op.group_size_limit == 1]
    move_operations(
        alone_again, OperationState.NEEDS_REVIEW, reason=f"alone in its bundle twice: {why}"[:_REASON_LENGTH]
    )
    limit = max(len(operations) // 2, 1)
    for operation in sorted(operations, key=lambda operation: operation.pk):
        if operation not in alone_again:
            fields = {**leave_transaction(operation), **NO_OUTCOME, "group_size_limit": limit}
            move_operations([operation], OperationState.QUEUED, **fields)


def leave_transaction(operation: Operation) -> dict[str, Any]:
    """What an operation that goes back to the queue is to say of its transactions."""
    return {**NO_TRANSACTION, "former_transactions": [*operation.former_transactions, str(operation.transaction_id)]}
