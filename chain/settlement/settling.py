"""A mined transaction settles its operations, each by its own event and its expected logs.

Below the depth `CHAIN_CONFIRMATIONS` it is MINED and what succeeded in it EXECUTED; nothing that failed is told to
anybody yet, for a reorg may still turn it into a success (F30). At depth it is CONFIRMED, REVERTED or CANCELLED, its
operations final.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain import selectors
from chain.lending.encoding import OutcomeStatus
from chain.models import (
    AttemptKind,
    ChainTransaction,
    Operation,
    OperationState,
    TransactionAttempt,
    TransactionState,
)
from chain.rpc.evidence import corroborated
from chain.settlement.adoption import find_execution
from chain.settlement.engine import Engine
from chain.settlement.transitions import Block, move_operations, move_transaction, note_settled, requeue, store_verdicts
from chain.settlement.verdicts import OperationVerdict, judge_operation, split_logs

logger = logging.getLogger(__name__)

# A transaction that succeeded leaves an event for each of its operations. A receipt without any contradicts itself (a
# node in the middle of a reorg): it is read again for this many blocks before an operation needs review.
SILENT_RECEIPT_BLOCKS = 3
_NO_LOG = OperationVerdict(
    OperationState.NEEDS_REVIEW, "the executor skipped it, and no log of its execution was found"
)


@dataclass
class MinedTransaction:
    """A transaction with a receipt in a canonical block, and what is to be written about it."""

    transaction: ChainTransaction
    attempt: TransactionAttempt
    receipt: dict[str, Any]
    block: Block
    operations: list[Operation] = field(default_factory=list)
    judged: list[tuple[Operation, OperationVerdict]] = field(default_factory=list)
    adopted: list[tuple[Operation, OperationVerdict, dict[str, Any]]] = field(default_factory=list)
    depth: int = 0
    is_deep: bool = False

    @property
    def succeeded(self) -> bool:
        return int(self.receipt["status"], 16) == 1

    @property
    def is_noop(self) -> bool:
        return self.attempt.kind == AttemptKind.NOOP

    @property
    def is_news(self) -> bool:
        """False where all of it was written before: it waits for depth."""
        known = self.transaction.state == TransactionState.MINED and self.transaction.block_hash == self.block.hash
        return self.is_deep or not known


def settle_mined(engine: Engine, landings: Sequence[MinedTransaction]) -> None:
    """Write all that a block brought in one commit."""
    operations = selectors.operations_of([landing.transaction for landing in landings])
    for landing in landings:
        landing.operations = operations[landing.transaction.pk]
        landing.depth = engine.require_head().number - landing.block.number + 1
    told = corroborated(engine.client, [landing.receipt for landing in landings if _is_deep(engine, landing)])
    for landing in landings:
        landing.is_deep = landing.receipt["transactionHash"] in told
        if landing.succeeded and not landing.is_noop:
            _judge_operations(engine, landing)
    news = [landing for landing in landings if landing.is_news]
    if not news:
        return
    engine.lease.write(lambda: _write(news))
    for landing in news:
        _tell(engine, landing)


def _is_deep(engine: Engine, landing: MinedTransaction) -> bool:
    return landing.depth >= engine.confirmations


def _judge_operations(engine: Engine, landing: MinedTransaction) -> None:
    found = split_logs(landing.receipt["logs"], landing.transaction.executor)
    if not found and landing.depth < engine.confirmations + SILENT_RECEIPT_BLOCKS:
        logger.warning("the receipt of nonce %d tells nothing, it is read again", landing.transaction.nonce)
        landing.is_deep = False
        return
    for operation in landing.operations:
        if operation.state not in (OperationState.BUNDLED, OperationState.EXECUTED):
            continue
        logs = found.get(operation.uid.lower())
        if logs is not None and logs.status == OutcomeStatus.SKIPPED:
            _judge_skipped(engine, landing, operation)
        else:
            landing.judged.append((operation, judge_operation(operation, logs)))


def _judge_skipped(engine: Engine, landing: MinedTransaction, operation: Operation) -> None:
    """Another transaction executed it (F35) and settles it; this one waits until that one is deep enough too."""
    execution = find_execution(engine, operation)
    if execution is None:
        landing.judged.append((operation, _NO_LOG))
    elif execution.depth >= engine.confirmations:
        landing.adopted.append((operation, execution.verdict, execution.fields()))
    else:
        landing.is_deep = False


def _write(landings: Sequence[MinedTransaction]) -> None:
    for landing in sorted(landings, key=lambda landing: landing.transaction.pk):
        write = _write_settled if landing.is_deep else _write_mined
        write(landing)


def _write_mined(landing: MinedTransaction) -> None:
    move_transaction(landing.transaction, TransactionState.MINED, **_mined_fields(landing))
    executed = [
        operation
        for operation, verdict in landing.judged
        if verdict.state == OperationState.CONFIRMED and operation.state == OperationState.BUNDLED
    ]
    move_operations(executed, OperationState.EXECUTED, **_landed_fields(landing))


def _write_settled(landing: MinedTransaction) -> None:
    if landing.is_noop:
        target = TransactionState.CANCELLED
    else:
        target = TransactionState.CONFIRMED if landing.succeeded else TransactionState.REVERTED
    move_transaction(landing.transaction, target, **_mined_fields(landing))
    if landing.is_noop or not landing.succeeded:
        waiting = [operation for operation in landing.operations if operation.state == OperationState.BUNDLED]
        requeue(waiting, "a noop took its nonce" if landing.is_noop else "the transaction reverted as a whole")
        return
    store_verdicts(landing.judged, **_landed_fields(landing))
    for operation, verdict, fields in landing.adopted:
        store_verdicts([(operation, verdict)], **fields)


def _mined_fields(landing: MinedTransaction) -> dict[str, Any]:
    return {
        "mined_hash": landing.attempt.tx_hash,
        "gas_used": int(landing.receipt["gasUsed"], 16),
        **landing.block.transaction_fields(),
    }


def _landed_fields(landing: MinedTransaction) -> dict[str, Any]:
    return {"tx_hash": landing.attempt.tx_hash, **landing.block.operation_fields()}


def _tell(engine: Engine, landing: MinedTransaction) -> None:
    if not landing.is_deep:
        return
    note_settled(engine, landing.judged)
    note_settled(engine, [(operation, verdict) for operation, verdict, _ in landing.adopted])
    if not landing.succeeded:
        logger.error("transaction %s reverted as a whole; its operations are queued again", landing.attempt.tx_hash)
