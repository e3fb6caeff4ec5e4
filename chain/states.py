"""Which state may follow which. Pure: two tables of edges and their lookups.

Every update of a state is filtered on `allowed_from`, the states that the edge may start from: a row that another
driver or a person moved meanwhile is left alone, and the row count shows it.
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
    # A reorg: back to its transaction, or to the queue where it was adopted.
    Op.CONFIRMED: frozenset({Op.BUNDLED, Op.QUEUED}),
    Op.REFUSED: frozenset(),
    # A reorg: it may succeed in the block in which its transaction is mined next.
    Op.FAILED: frozenset({Op.BUNDLED}),
    Op.NEEDS_REVIEW: frozenset(
        {Op.QUEUED, Op.CONFIRMED, Op.FAILED}
    ),  # by a person, or where the log of its execution is found
}

TRANSACTION_EDGES: Mapping[Tx, frozenset[Tx]] = {
    Tx.SIGNED: frozenset({Tx.BROADCAST, Tx.MINED, Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.NEEDS_REVIEW}),
    Tx.BROADCAST: frozenset({Tx.MINED, Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.NEEDS_REVIEW}),
    Tx.MINED: frozenset({Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED, Tx.BROADCAST}),
    # A reorg: the block is gone, the nonce is free again, the same bytes are sent again.
    Tx.CONFIRMED: frozenset({Tx.BROADCAST}),
    Tx.REVERTED: frozenset({Tx.BROADCAST}),
    Tx.CANCELLED: frozenset({Tx.BROADCAST}),
    Tx.NEEDS_REVIEW: frozenset(),
}

FINAL_OPERATION_STATES = (Op.CONFIRMED, Op.REFUSED, Op.FAILED)  # the owner acts on them
LIVE_TRANSACTION_STATES = (Tx.SIGNED, Tx.BROADCAST, Tx.MINED)  # the driver follows them every block
IN_FLIGHT_STATES = (Tx.SIGNED, Tx.BROADCAST)  # they take a place in the pool
SETTLED_TRANSACTION_STATES = (Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED)  # watched for reorgs until final


class ForbiddenTransition(ValueError):
    """No table has this edge: a bug in the code, not in the data."""


def allowed_from(target: Op | Tx) -> list[str]:
    """The states from which `target` may be entered, to filter a guarded update on; or `ForbiddenTransition`."""
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
