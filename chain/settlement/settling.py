"""A mined transaction settles its operations, each by its own event and its expected logs.

Until its block is `CHAIN_CONFIRMATIONS` deep the transaction is MINED and what succeeded in it EXECUTED; a failure is
not written yet, for a reorg may still turn it into a success (F30). From that depth on the transaction is CONFIRMED,
REVERTED (`reverts`) or CANCELLED, and its operations are final.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain import selectors
from chain.lending.bundles import OutcomeStatus
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
from chain.settlement.reverts import requeue_bundle
from chain.settlement.transitions import Block, move_operations, move_transaction, note_settled, store_verdicts
from chain.settlement.verdicts import OperationVerdict, judge_operation, split_logs

logger = logging.getLogger(__name__)

# A transaction that succeeded leaves an event for each of its operations. A receipt without any contradicts itself (a
# node in the middle of a reorg): it is read again for this many blocks before its operations need review.
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
    adopted: list[tuple[Operation, OperationVerdict, dict[str, object]]] = field(default_factory=list)
    depth: int = 0
    is_deep: bool = False  # deep enough, and shown by every endpoint: what it did is final

    @property
    def succeeded(self) -> bool:
        return int(self.receipt["status"], 16) == 1

    @property
    def is_noop(self) -> bool:
        return self.attempt.kind == AttemptKind.NOOP

    @property
    def needs_write(self) -> bool:
        """False where it is in the database as it is: it waits for depth."""
        known = self.transaction.state == TransactionState.MINED and self.transaction.block_hash == self.block.hash
        return self.is_deep or not known


def settle_mined(engine: Engine, transactions: Sequence[MinedTransaction]) -> None:
    """Write everything that a block brought in one commit."""
    operations = selectors.operations_of([mined.transaction for mined in transactions])
    for mined in transactions:
        mined.operations = operations[mined.transaction.pk]
        mined.depth = engine.require_head().number - mined.block.number + 1
    agreed = corroborated(engine.client, [mined.receipt for mined in transactions if _is_deep(engine, mined)])
    for mined in transactions:
        mined.is_deep = mined.receipt["transactionHash"] in agreed
        if mined.succeeded and not mined.is_noop:
            _judge_operations(engine, mined)
    changed = [mined for mined in transactions if mined.needs_write]
    if not changed:
        return
    engine.lease.write(lambda: _write(changed))
    for mined in changed:
        _note(engine, mined)


def _is_deep(engine: Engine, mined: MinedTransaction) -> bool:
    return mined.depth >= engine.confirmations


def _judge_operations(engine: Engine, mined: MinedTransaction) -> None:
    found = split_logs(mined.receipt["logs"], mined.transaction.executor)
    if not found and mined.depth < engine.confirmations + SILENT_RECEIPT_BLOCKS:
        logger.warning("the receipt of nonce %d has no events, it is read again", mined.transaction.nonce)
        mined.is_deep = False
        return
    for operation in mined.operations:
        if operation.state not in (OperationState.BUNDLED, OperationState.EXECUTED):
            continue
        logs = found.get(operation.uid.lower())
        if logs is not None and logs.outcome.status == OutcomeStatus.SKIPPED:
            _judge_skipped(engine, mined, operation)
        else:
            mined.judged.append((operation, judge_operation(operation, logs)))


def _judge_skipped(engine: Engine, mined: MinedTransaction, operation: Operation) -> None:
    """Another transaction executed it (F35) and settles it; this one waits until that one is deep enough too."""
    execution = find_execution(engine, operation)
    if execution is None:
        mined.judged.append((operation, _NO_LOG))
    elif execution.depth >= engine.confirmations:
        mined.adopted.append((operation, execution.verdict, execution.fields()))
    else:
        mined.is_deep = False


def _write(transactions: Sequence[MinedTransaction]) -> None:
    for mined in sorted(transactions, key=lambda mined: mined.transaction.pk):
        write = _write_settled if mined.is_deep else _write_mined
        write(mined)


def _write_mined(mined: MinedTransaction) -> None:
    move_transaction(mined.transaction, TransactionState.MINED, **_transaction_fields(mined))
    executed = [
        operation
        for operation, verdict in mined.judged
        if verdict.state == OperationState.CONFIRMED and operation.state == OperationState.BUNDLED
    ]
    move_operations(executed, OperationState.EXECUTED, **_operation_fields(mined))


def _write_settled(mined: MinedTransaction) -> None:
    if mined.is_noop:
        target = TransactionState.CANCELLED
    else:
        target = TransactionState.CONFIRMED if mined.succeeded else TransactionState.REVERTED
    move_transaction(mined.transaction, target, **_transaction_fields(mined))
    if mined.is_noop or not mined.succeeded:
        waiting = [operation for operation in mined.operations if operation.state == OperationState.BUNDLED]
        requeue_bundle(waiting, "a noop took its nonce" if mined.is_noop else "the transaction reverted as a whole")
        return
    store_verdicts(mined.judged, **_operation_fields(mined))
    for operation, verdict, fields in mined.adopted:
        store_verdicts([(operation, verdict)], **fields)


def _transaction_fields(mined: MinedTransaction) -> dict[str, object]:
    return {
        "mined_hash": mined.attempt.tx_hash,
        "gas_used": int(mined.receipt["gasUsed"], 16),
        **mined.block.transaction_fields(),
    }


def _operation_fields(mined: MinedTransaction) -> dict[str, object]:
    return {"tx_hash": mined.attempt.tx_hash, **mined.block.operation_fields()}


def _note(engine: Engine, mined: MinedTransaction) -> None:
    if not mined.is_deep:
        return
    note_settled(engine, mined.judged)
    note_settled(engine, [(operation, verdict) for operation, verdict, _ in mined.adopted])
    if not mined.succeeded:
        logger.error("transaction %s reverted as a whole; its operations are queued again", mined.attempt.tx_hash)
