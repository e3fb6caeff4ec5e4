"""Which state may follow which. Pure: tables and the questions asked of them.

Every update of a state goes through `allowed_from`: it is filtered on the states the edge may start from, so that a
state which moved meanwhile (another driver, a person) is left alone and the row count says so.
"""

from collections.abc import Mapping

from chain.models import OperationState as Op
from chain.models import TransactionState as Tx

OPERATION_EDGES: Mapping[Op, frozenset[Op]] = {
    # CONFIRMED without a transaction of ours: the chain says the uid was executed already, and its log was found
    # (adoption).
    Op.QUEUED: frozenset({Op.BUNDLED, Op.REFUSED, Op.CONFIRMED, Op.NEEDS_REVIEW}),
    # CONFIRMED at once where its block is k deep when first seen; QUEUED where its transaction reverted or was
    # cancelled.
    Op.BUNDLED: frozenset({Op.EXECUTED, Op.CONFIRMED, Op.FAILED, Op.QUEUED, Op.NEEDS_REVIEW}),
    # FAILED where a reorg put its transaction into another block, with another outcome.
    Op.EXECUTED: frozenset({Op.CONFIRMED, Op.FAILED, Op.BUNDLED, Op.NEEDS_REVIEW}),
    # A reorg undid it: back to its transaction, or to the queue where it was adopted.
    Op.CONFIRMED: frozenset({Op.BUNDLED, Op.QUEUED}),
    Op.REFUSED: frozenset(),
    # A reorg undid its failure: it may succeed where its transaction lands next.
    Op.FAILED: frozenset({Op.BUNDLED}),
    Op.NEEDS_REVIEW: frozenset({Op.QUEUED, Op.CONFIRMED, Op.FAILED}),  # by a person, or where its log turns up
}

TRANSACTION_EDGES: Mapping[Tx, frozenset[Tx]] = {
    Tx.SIGNED: frozenset({Tx.BROADCAST, Tx.MINED, Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.NEEDS_REVIEW}),
    Tx.BROADCAST: frozenset({Tx.MINED, Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.NEEDS_REVIEW}),
    Tx.MINED: frozenset({Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.BROADCAST}),
    # A reorg: the block is gone, the nonce is free again, the bytes go out again.
    Tx.CONFIRMED: frozenset({Tx.BROADCAST}),
    Tx.REVERTED: frozenset({Tx.BROADCAST}),
    Tx.CANCELLED: frozenset({Tx.BROADCAST}),
    Tx.NEEDS_REVIEW: frozenset(),
}

FINAL_OPERATION_STATES = (Op.CONFIRMED, Op.REFUSED, Op.FAILED)  # their owner acts on them
LIVE_TRANSACTION_STATES = (Tx.SIGNED, Tx.BROADCAST, Tx.MINED)  # the driver follows them every block
IN_FLIGHT_STATES = (Tx.SIGNED, Tx.BROADCAST)  # they take a place in the pool
SETTLED_TRANSACTION_STATES = (Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED)  # watched for reorgs until final


class ForbiddenTransition(ValueError):
    """The code asked for an edge that no table has: an error in the code, not in the data."""


def allowed_from(target: Op | Tx) -> list[str]:
    """The states from which `target` may be entered, for the filter of a guarded update; `ForbiddenTransition` if
    none.
    """
    edges: Mapping = OPERATION_EDGES if isinstance(target, Op) else TRANSACTION_EDGES
    sources = [source.value for source, targets in edges.items() if target in targets]
    if not sources:
        raise ForbiddenTransition(f"nothing becomes {target}")
    return sources


def require_edge(source: Op | Tx, target: Op | Tx) -> None:
    """Raise `ForbiddenTransition` unless the table has the edge."""
    edges: Mapping = OPERATION_EDGES if isinstance(target, Op) else TRANSACTION_EDGES
    if target not in edges.get(source, frozenset()):
        raise ForbiddenTransition(f"{source} does not become {target}")
