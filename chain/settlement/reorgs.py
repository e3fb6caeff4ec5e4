"""How settlement handles a reorg: a transaction whose block is orphaned goes back to BROADCAST and is sent again.

`roll_back_orphaned` is called once a block and at a driver's start, until the blocks of what was settled are final.
What it rolls back: the transaction to BROADCAST, its operations to BUNDLED (adopted ones to QUEUED). An owner that
acted on the operation sees it `reopened` and undoes what it did (F40); an incident is raised on the wallet.

Evidence: `Engine.verified` is the newest block whose chain everything settled was compared with, `Engine.final` the
newest of its ancestors that every endpoint called final. While the chain still has the former at its height nothing can
have changed, and a new block costs this one question. Otherwise, however long no driver ran, the blocks of everything
settled above the latter are compared. A block is orphaned when every endpoint that has a block at its height has
another one; a node that lags proves nothing (F41). How the watcher handles a reorg: `chain.events.reorgs`.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from audit.services import record_change
from chain import metrics
from chain.models import ChainTransaction, Operation, OperationState, TransactionState
from chain.rpc.clients import ChainUnavailable
from chain.rpc.evidence import Checkpoint, final_block, hash_of
from chain.selectors import operations_of
from chain.settlement.engine import Engine
from chain.settlement.sending import resend_transactions
from chain.settlement.transitions import NO_BLOCK, NO_OUTCOME, move_operations, move_transaction
from chain.states import FINAL_OPERATION_STATES, SETTLED_TRANSACTION_STATES
from chain.wallet import freezing
from partner_platform.core import clock

logger = logging.getLogger(__name__)

ASK_FINAL_EVERY_BLOCKS = 32
HEADERS_PER_POST = 200
_WATCHED_STATES = (TransactionState.MINED, *SETTLED_TRANSACTION_STATES)
# The head at which this process first could not compare a wallet's blocks; None once that was logged.
_undecided_since: dict[uuid.UUID, int | None] = {}


def roll_back_orphaned(engine: Engine) -> bool:
    """Roll back every transaction whose block was orphaned since the last comparison; True where there was one.

    Blocks above the head after it fell (F39), and blocks about which endpoints disagree, cannot be compared yet: that
    is tried again at each block.
    """
    head = engine.require_head()
    has_rolled_back = False
    if not _follows(engine):
        is_known, has_rolled_back = _compare(engine)
        if not is_known:
            _log_undecided(engine)
            return has_rolled_back
    _undecided_since.pop(engine.wallet.pk, None)
    engine.note_verified(Checkpoint(head.number, head.hash))
    _raise_final(engine)
    return has_rolled_back


def _log_undecided(engine: Engine) -> None:
    """Log an ERROR, once, where blocks of ours could not be compared for long."""
    head = engine.require_head().number
    since = _undecided_since.setdefault(engine.wallet.pk, head)
    if since is None or head - since <= settings.CHAIN_OVERDUE_BLOCKS:
        return
    _undecided_since[engine.wallet.pk] = None
    logger.error(
        "wallet %s: what is settled could not be compared with the chain for %d blocks: an endpoint lacks blocks, or"
        " the endpoints disagree",
        *(engine.wallet.address, head - since),
    )


def _follows(engine: Engine) -> bool:
    """True where the block that was verified last is the head or an ancestor of it."""
    head, before = engine.require_head(), engine.verified
    if before is None:
        return False
    if before.hash in {head.hash, head.parent_hash}:
        return True
    if head.number <= before.number:
        return False
    return _hash_at(engine, before.number) == before.hash


def _hash_at(engine: Engine, number: int) -> str | None:
    """The hash at this height on the chain of the head, from one node in one post."""
    head = engine.require_head()
    block, newest = engine.fetch(
        ("eth_getBlockByNumber", [hex(number), False]), ("eth_getBlockByNumber", [hex(head.number), False])
    )
    if newest is None or newest["hash"] != head.hash:
        raise ChainUnavailable("The chain moved while it was read")
    return None if block is None else str(block["hash"])


def _compare(engine: Engine) -> tuple[bool, bool]:
    """Roll back what is orphaned. Returns whether every block of ours could be compared, and whether something was
    rolled back.
    """
    floor = _floor(engine)
    watched, adopted = watched_transactions(engine.wallet.pk, floor), adopted_operations(floor)
    ours = {block_hash: number for rows in (watched, adopted) for block_hash, number in _blocks_of(rows)}
    found = _compare_blocks(engine, ours)
    if not found.orphaned:
        return not found.undecided, False
    lost = list(watched.filter(block_hash__in=found.orphaned).order_by("nonce").prefetch_related("attempts"))
    _roll_back(engine, lost, list(adopted.filter(block_hash__in=found.orphaned)))
    resend_transactions(engine, lost)
    return not found.undecided, True


def _blocks_of(rows: QuerySet[ChainTransaction] | QuerySet[Operation]) -> Iterable[tuple[str, Any]]:
    """`(hash, number)` of each block that one of the rows is in."""
    return rows.order_by().values_list("block_hash", "block_number").distinct()


def watched_transactions(wallet_id: uuid.UUID, floor: int) -> QuerySet[ChainTransaction]:
    """Transactions mined above the block `floor`, which a reorg may orphan. For the index tests too."""
    return ChainTransaction.objects.filter(wallet=wallet_id, state__in=_WATCHED_STATES, block_number__gt=floor)


def adopted_operations(floor: int) -> QuerySet[Operation]:
    """Operations settled from an execution above `floor` in a transaction that is not ours. For the index tests too."""
    return Operation.objects.filter(transaction__isnull=True, state=OperationState.CONFIRMED, block_number__gt=floor)


def _floor(engine: Engine) -> int:
    """The block up to which nothing has to be compared; 0 where a block that was final is no longer on the chain."""
    final = engine.final
    if final is None:
        return 0
    if final.number > engine.require_head().number:
        return final.number  # the head fell below it: nothing is known yet
    if not _is_orphaned(engine, final.hash, final.number):
        return final.number
    logger.error("block %d was final and is no longer on the chain: everything is compared", final.number)
    return 0


def _raise_final(engine: Engine) -> None:
    """Ask every endpoint for its final block, every `ASK_FINAL_EVERY_BLOCKS`: nothing up to there is compared again."""
    head = engine.require_head().number
    asked = engine.final_asked_at
    if asked is not None and head - asked < ASK_FINAL_EVERY_BLOCKS:
        return
    engine.final_asked_at = head
    try:
        final = final_block(engine.client, head=engine.verified)
    except ChainUnavailable as error:
        logger.warning("what is final is asked again later: %s", error)
        return
    if final is not None and (engine.final is None or final.number > engine.final.number):
        engine.note_final(final)


@dataclass(frozen=True)
class _Compared:
    """Hashes of blocks of ours: those that are orphaned, and those of which nothing is known yet."""

    orphaned: set[str]
    undecided: set[str]


def _compare_blocks(engine: Engine, ours: Mapping[str, int]) -> _Compared:
    """A block is undecided where the node has none at its height, or has another one while some endpoint still has
    ours: endpoints do not change branches at the same moment.
    """
    headers = _headers(engine, list(ours.values()))
    shown = {block_hash: hash_of(header) for block_hash, header in zip(ours, headers, strict=True)}
    suspects = {block_hash for block_hash, found in shown.items() if found not in (None, block_hash)}
    orphaned = {block_hash for block_hash in suspects if _is_orphaned(engine, block_hash, ours[block_hash])}
    return _Compared(orphaned, (suspects - orphaned) | {name for name, found in shown.items() if found is None})


def _headers(engine: Engine, numbers: Sequence[int]) -> list[object]:
    """The blocks at these heights on the chain of the head, each post answered by one node.

    A wallet's whole history may be compared, so the lease is renewed in between.
    """
    head, found = engine.require_head(), []
    for start in range(0, len(numbers), HEADERS_PER_POST):
        chosen = [head.number, *numbers[start : start + HEADERS_PER_POST]]
        newest, *headers = engine.client.batch([("eth_getBlockByNumber", [hex(number), False]) for number in chosen])
        if hash_of(newest) != head.hash:
            raise ChainUnavailable("The chain moved while it was read")
        found += headers
        engine.lease.renew_if_due()
    return found


def _is_orphaned(engine: Engine, block_hash: str, number: int) -> bool:
    answers = engine.client.everyone([("eth_getBlockByNumber", [hex(number), False])])
    present = [found for [block] in answers if (found := hash_of(block)) is not None]
    return bool(present) and block_hash not in present


def _roll_back(engine: Engine, transactions: list[ChainTransaction], adopted: list[Operation]) -> None:
    operations = operations_of(transactions)
    everything = [*adopted, *(operation for carried in operations.values() for operation in carried)]
    settled = [operation for operation in everything if operation.state in FINAL_OPERATION_STATES]
    head = engine.require_head().number

    def write() -> None:
        for transaction in sorted(transactions, key=lambda transaction: transaction.pk):
            _roll_back_transaction(transaction, operations[transaction.pk], head)
        move_operations(adopted, OperationState.QUEUED, **NO_OUTCOME)
        # After the move: an owner that acted before has committed by now, and one that acts later finds the new state.
        _reopen(settled)
        if settled:
            _raise_incident(engine, settled)

    engine.lease.write(write)
    metrics.reorgs.inc()
    engine.settled_keys += [operation.key for operation in settled]  # their owners undo what they did
    for transaction in transactions:
        logger.log(
            logging.WARNING if transaction.state == TransactionState.MINED else logging.ERROR,
            "a reorg undid nonce %d (%s) of block %s",
            transaction.nonce,
            transaction.state,
            transaction.block_number,
        )


def _roll_back_transaction(transaction: ChainTransaction, operations: list[Operation], head: int) -> None:
    move_transaction(
        transaction, TransactionState.BROADCAST, mined_hash="", gas_used=None, last_bump_block=head, **NO_BLOCK
    )
    mined = (OperationState.EXECUTED, OperationState.CONFIRMED, OperationState.FAILED)
    move_operations([op for op in operations if op.state in mined], OperationState.BUNDLED, reason="", **NO_OUTCOME)


def _reopen(operations: list[Operation]) -> None:
    """Mark the operations whose owner acted already and has to undo that."""
    acted_on = Operation.objects.filter(pk__in=[operation.pk for operation in operations], acknowledged=True)
    acted_on.exclude(state__in=FINAL_OPERATION_STATES).update(reopened=True, updated_at=clock.now())


def _raise_incident(engine: Engine, settled: list[Operation]) -> None:
    """A settled transfer of money was undone: one audit entry each, and an incident on the wallet for a person."""
    for operation in settled:
        before = {"state": operation.state, "txHash": operation.tx_hash, "blockNumber": operation.block_number}
        record_change(
            actor="system:settlement",
            action="settlement.reopened",
            target=f"operation:{operation.key}",
            before=before,
            after={"state": str(OperationState.BUNDLED if operation.transaction_id else OperationState.QUEUED)},
        )
    keys = ", ".join(operation.key for operation in settled)
    incident = f"a reorg undid {len(settled)} settled operations, which were reopened: {keys}"
    freezing.raise_incident(engine.wallet.pk, incident)
