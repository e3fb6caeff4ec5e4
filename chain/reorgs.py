"""What was settled is followed until its block is final; a reorg takes it back to BROADCAST and the bytes go out again.

Normally this costs nothing: the new head's parent is the head seen before, so nothing can have moved. Only where that
does not hold, and once when a driver starts, are the blocks of settled transactions compared with the chain's. A
block is orphaned when another stands at its height on every endpoint that has one; a node that is merely behind
proves nothing (F41).
"""

import logging
from collections.abc import Iterable

from audit.services import record_change
from chain.clients import RpcError
from chain.engine import Engine, Head
from chain.landing import NO_BLOCK, NO_OUTCOME, move_operations, move_transaction
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionState
from chain.selectors import operations_of
from chain.sending import resend
from chain.states import FINAL_OPERATION_STATES, SETTLED_TRANSACTION_STATES
from partner_platform.core import clock

logger = logging.getLogger(__name__)

FOLLOW_BLOCKS = 256  # where the node has no finalized block, or one far behind
_WATCHED_STATES = (TransactionState.MINED, *SETTLED_TRANSACTION_STATES)


def undo_orphaned(engine: Engine) -> None:
    """Compare with the chain where the head does not follow the one of the last comparison.

    After a fall of the head (F39) blocks of ours may stand above it: nothing is known of them before it has risen
    again, so it is compared at every tick until then.
    """
    follows = engine.followed is not None and _follows(engine, engine.followed)
    engine.followed = engine.require_head() if follows or _compare(engine) else None


def _compare(engine: Engine) -> bool:
    """Undo what is orphaned; False where a block of ours has nothing at its height yet."""
    floor = _final_block(engine)
    watched = ChainTransaction.objects.filter(
        wallet=engine.wallet.pk, state__in=_WATCHED_STATES, block_number__gt=floor
    )
    transactions = list(watched.order_by("nonce").prefetch_related("attempts"))
    adopted = list(
        Operation.objects.filter(carrier__isnull=True, state=OperationState.CONFIRMED, block_number__gt=floor)
    )
    rows: list[ChainTransaction | Operation] = [*transactions, *adopted]
    is_known = all((row.block_number or 0) <= engine.require_head().number for row in rows)
    orphaned = _orphaned_hashes(engine, rows)
    if not orphaned:
        return is_known
    lost = [transaction for transaction in transactions if transaction.block_hash in orphaned]
    _undo(engine, lost, [operation for operation in adopted if operation.block_hash in orphaned])
    resend(engine, lost)
    return is_known


def _follows(engine: Engine, before: Head) -> bool:
    head = engine.require_head()
    if before.hash in {head.hash, head.parent_hash}:
        return True
    if head.number <= before.number:
        return False
    [block] = engine.fetch(("eth_getBlockByNumber", [hex(before.number), False]))
    return block is not None and block["hash"] == before.hash


def _final_block(engine: Engine) -> int:
    oldest = max(engine.require_head().number - FOLLOW_BLOCKS, 0)
    [final] = engine.client.batch([("eth_getBlockByNumber", ["finalized", False])])
    if final is None or isinstance(final, RpcError):
        return oldest
    return max(int(final["number"], 16), oldest)


def _orphaned_hashes(engine: Engine, rows: Iterable[ChainTransaction | Operation]) -> set[str]:
    ours = {row.block_hash: row.block_number for row in rows}
    calls = [("eth_getBlockByNumber", [hex(number or 0), False]) for number in ours.values()]
    suspects = [
        (block_hash, number)
        for (block_hash, number), block in zip(ours.items(), engine.client.batch(calls), strict=True)
        if block is not None and not isinstance(block, RpcError) and block["hash"] != block_hash
    ]
    return {block_hash for block_hash, number in suspects if _is_orphaned(engine, block_hash, number or 0)}


def _is_orphaned(engine: Engine, block_hash: str, number: int) -> bool:
    blocks = engine.client.everywhere("eth_getBlockByNumber", [hex(number), False])
    present = [block for block in blocks if block is not None]
    return bool(present) and all(block["hash"] != block_hash for block in present)


def _undo(engine: Engine, transactions: list[ChainTransaction], adopted: list[Operation]) -> None:
    operations = operations_of(transactions)
    everything = [*adopted, *(operation for carried in operations.values() for operation in carried)]
    settled = [operation for operation in everything if operation.state in FINAL_OPERATION_STATES]
    head = engine.require_head().number

    def write() -> None:
        for transaction in sorted(transactions, key=lambda transaction: transaction.pk):
            _undo_one(transaction, operations[transaction.pk], head)
        move_operations(adopted, OperationState.QUEUED, **NO_OUTCOME)
        # After they were moved: an owner that acted before has committed by now, one that comes later finds them moved.
        _reopen(settled)
        if settled:
            _raise_incident(engine, settled)

    engine.lease.write(write)
    engine.settled_keys += [operation.key for operation in settled]  # their owners take back what they did
    for transaction in transactions:
        logger.log(
            logging.WARNING if transaction.state == TransactionState.MINED else logging.ERROR,
            "a reorg undid nonce %d (%s) of block %s",
            transaction.nonce,
            transaction.state,
            transaction.block_number,
        )


def _undo_one(transaction: ChainTransaction, operations: list[Operation], head: int) -> None:
    move_transaction(
        transaction, TransactionState.BROADCAST, mined_hash="", gas_used=None, last_bump_block=head, **NO_BLOCK
    )
    landed = (OperationState.EXECUTED, OperationState.CONFIRMED, OperationState.FAILED)
    move_operations([op for op in operations if op.state in landed], OperationState.BUNDLED, reason="", **NO_OUTCOME)


def _reopen(operations: list[Operation]) -> None:
    """Mark those whose owner acted already and must take that back."""
    acted_on = Operation.objects.filter(pk__in=[operation.pk for operation in operations], acknowledged=True)
    acted_on.exclude(state__in=FINAL_OPERATION_STATES).update(reopened=True, updated_at=clock.now())


def _raise_incident(engine: Engine, settled: list[Operation]) -> None:
    """Money that was said to have moved has not: in the audit trail for each, and on the wallet until a person saw."""
    for operation in settled:
        before = {"state": operation.state, "txHash": operation.tx_hash, "blockNumber": operation.block_number}
        record_change(
            actor="system:settlement",
            action="settlement.reopened",
            target=f"operation:{operation.key}",
            before=before,
            after={"state": str(OperationState.BUNDLED if operation.carrier_id else OperationState.QUEUED)},
        )
    keys = ", ".join(operation.key for operation in settled)
    incident = f"a reorg undid {len(settled)} settled operations, which were reopened: {keys}"
    PlatformWallet.objects.filter(pk=engine.wallet.pk).update(incident=incident[:300], incident_at=clock.now())
