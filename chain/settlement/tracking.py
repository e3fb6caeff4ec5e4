"""Once a block: what became of every live transaction. Two posts a block, however many loans are under way.

`track_transactions` is called for each new block: it rolls back what a reorg orphaned (`reorgs`), settles what was
mined (`settling`), and pushes what was not: sends it again, or bumps its fee. Time is counted in blocks: a halted chain
(F21) is no reason to bid more.
"""

import logging
from typing import Any

from chain import selectors
from chain.models import (
    AttemptKind,
    ChainTransaction,
    OperationState,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.rpc.clients import RpcError
from chain.rpc.errors import SendClass
from chain.settlement import nonces, restoring
from chain.settlement.adoption import find_execution
from chain.settlement.engine import Engine
from chain.settlement.reorgs import roll_back_orphaned
from chain.settlement.sending import raise_fee, resend_transactions
from chain.settlement.settling import MinedTransaction, settle_mined
from chain.settlement.transitions import (
    NO_TRANSACTION,
    Block,
    move_operations,
    move_transaction,
    note_settled,
    store_verdicts,
)

logger = logging.getLogger(__name__)

RESEND_AFTER_BLOCKS = 3
BUMP_AFTER_BLOCKS = 5


def track_transactions(engine: Engine) -> None:
    """Roll back what a reorg orphaned, settle what was mined, push what waits.

    In this order: what is settled is then stored together with the block that everything else was compared with.
    """
    transactions, attempts, receipts = _read_receipts(engine)
    if engine.suspended:
        nonces.check_counter(engine)
        restoring.compare_if_pending(engine)
    if roll_back_orphaned(engine):
        transactions, attempts, receipts = _read_receipts(engine)
    mined = _mined_transactions(engine, attempts, receipts)
    settle_mined(engine, mined)
    mined_keys = {each.transaction.pk for each in mined}
    waiting = [transaction for transaction in transactions if transaction.pk not in mined_keys]
    _push(engine, [transaction for transaction in waiting if transaction.state != TransactionState.MINED])
    _resume_if_nothing_waits(engine, waiting)


Attempts = list[tuple[ChainTransaction, TransactionAttempt]]


def _read_receipts(engine: Engine) -> tuple[list[ChainTransaction], Attempts, list[Any]]:
    """The newest block, and a receipt or null for each attempt of each live transaction, in one post."""
    transactions = selectors.live_transactions(engine.wallet)
    attempts = [(transaction, attempt) for transaction in transactions for attempt in transaction.attempts.all()]
    receipts = engine.read_head(*[("eth_getTransactionReceipt", [attempt.tx_hash]) for _, attempt in attempts])
    return transactions, attempts, receipts


def _mined_transactions(engine: Engine, attempts: Attempts, receipts: list[Any]) -> list[MinedTransaction]:
    """The transactions whose receipt is in a canonical block. A null receipt proves nothing: nodes lag.

    The blocks are read together with the head, from one node in one post: either all are ancestors of the head, or none
    is taken as mined now.
    """
    mined = [
        (transaction, attempt, receipt)
        for (transaction, attempt), receipt in zip(attempts, receipts, strict=True)
        if receipt is not None and not isinstance(receipt, RpcError)
    ]
    if not mined:
        return []
    head = engine.require_head()
    numbers = sorted({receipt["blockNumber"] for _, _, receipt in mined})
    newest, *headers = engine.fetch(
        *[("eth_getBlockByNumber", [number, False]) for number in (hex(head.number), *numbers)]
    )
    if newest is None or newest["hash"] != head.hash:
        logger.info("the chain moved while receipts were read: they are read again")
        return []
    canonical = {header["hash"]: Block.from_json(header) for header in headers if header is not None}
    return [
        MinedTransaction(transaction, attempt, receipt, canonical[receipt["blockHash"]])
        for transaction, attempt, receipt in mined
        if receipt["blockHash"] in canonical
    ]


def _push(engine: Engine, waiting: list[ChainTransaction]) -> None:
    """3 blocks without it: resend. The lowest nonce, and 5 blocks: bump. Not taken by any node yet: resend at each
    block.
    """
    if not waiting:
        return
    head = engine.require_head().number
    lowest, *_ = waiting
    if _may_be_spent(lowest, head) and _nonce_was_spent(engine, lowest):
        return
    is_bumped = _wants_bump(lowest, head)
    others = waiting[1:] if is_bumped else waiting
    resend_transactions(engine, [transaction for transaction in others if _wants_resend(transaction, head)])
    if is_bumped:
        raise_fee(engine, lowest)


def _may_be_spent(transaction: ChainTransaction, head: int) -> bool:
    """True where it is worth asking: it has been missing for long, or a node said "nonce too low"."""
    too_low = any(attempt.last_error_class == SendClass.NONCE_TOO_LOW for attempt in transaction.attempts.all())
    return too_low or _blocks_since(head, transaction.last_sent_block) >= RESEND_AFTER_BLOCKS


def _wants_resend(transaction: ChainTransaction, head: int) -> bool:
    patience = 1 if transaction.state == TransactionState.SIGNED else RESEND_AFTER_BLOCKS
    return _blocks_since(head, transaction.last_sent_block) >= patience


def _wants_bump(transaction: ChainTransaction, head: int) -> bool:
    since = _blocks_since(head, transaction.last_bump_block)
    underpriced = any(
        attempt.last_error_class == SendClass.UNDERPRICED for attempt in list(transaction.attempts.all())[-1:]
    )
    if transaction.state == TransactionState.SIGNED:
        return underpriced and since >= 1
    return since >= (1 if underpriced else BUMP_AFTER_BLOCKS)


def _blocks_since(head: int, block: int | None) -> int:
    return head - block if block is not None else RESEND_AFTER_BLOCKS + BUMP_AFTER_BLOCKS


def _resume_if_nothing_waits(engine: Engine, waiting: list[ChainTransaction]) -> None:
    """The wallet is active again once no transaction waits, for the one that lacked gas money is mined then."""
    if engine.wallet.status == WalletStatus.PAUSED and not waiting:
        engine.set_status(WalletStatus.ACTIVE, from_states=(WalletStatus.PAUSED,))


def _nonce_was_spent(engine: Engine, transaction: ChainTransaction) -> bool:
    """True where the finalized state of every endpoint shows that a hash which is not ours consumed the nonce; the
    transaction is then closed.
    """
    count = ("eth_getTransactionCount", [engine.wallet.address, "finalized"])
    if not all(_is_passed(counted, transaction) for [counted] in engine.client.everyone([count])):
        return False
    known = [
        (method, [attempt.tx_hash])
        for attempt in transaction.attempts.all()
        for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt")
    ]
    for counted, *found in engine.client.everyone([count, *known]):
        if not _is_passed(counted, transaction):
            return False
        if any(answer is not None and not isinstance(answer, RpcError) for answer in found):
            return False
    _close(engine, transaction)
    return True


def _is_passed(counted: Any, transaction: ChainTransaction) -> bool:
    return not isinstance(counted, RpcError) and int(counted, 16) > transaction.nonce


def _close(engine: Engine, transaction: ChainTransaction) -> None:
    """Close a transaction whose nonce is spent: operations that the chain executed elsewhere are adopted; the others
    need review, and the wallet freezes (F8).
    """
    if all(attempt.kind == AttemptKind.NOOP for attempt in transaction.attempts.all()):
        engine.lease.write(lambda: move_transaction(transaction, TransactionState.CANCELLED, note="it carried nothing"))
        return
    operations = [
        operation
        for operation in selectors.operations_of([transaction])[transaction.pk]
        if operation.state == OperationState.BUNDLED
    ]
    executions = [(operation, find_execution(engine, operation)) for operation in operations]
    known = [(operation, execution) for operation, execution in executions if execution is not None]
    lost = [operation for operation, execution in executions if execution is None]
    reason = f"nonce {transaction.nonce} was spent by a transaction that is not ours"

    def write() -> None:
        target = TransactionState.NEEDS_REVIEW if lost else TransactionState.CANCELLED
        move_transaction(transaction, target, note=reason)
        move_operations(lost, OperationState.NEEDS_REVIEW, reason=reason)
        for operation, execution in known:
            store_verdicts([(operation, execution.verdict)], **execution.fields(), **NO_TRANSACTION)

    engine.lease.write(write)
    note_settled(engine, [(operation, execution.verdict) for operation, execution in known])
    if lost:
        engine.freeze(reason)
