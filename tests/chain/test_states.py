"""The transition tables, edge by edge."""

import itertools

import pytest

from chain.models import OperationState as Op
from chain.models import TransactionState as Tx
from chain.states import OPERATION_EDGES, TRANSACTION_EDGES, ForbiddenTransition, allowed_from, require_edge

OPERATION_ALLOWED = {
    (Op.QUEUED, Op.BUNDLED),
    (Op.QUEUED, Op.REFUSED),
    (Op.QUEUED, Op.CONFIRMED),
    (Op.QUEUED, Op.NEEDS_REVIEW),
    (Op.BUNDLED, Op.EXECUTED),
    (Op.BUNDLED, Op.CONFIRMED),
    (Op.BUNDLED, Op.FAILED),
    (Op.BUNDLED, Op.QUEUED),
    (Op.BUNDLED, Op.NEEDS_REVIEW),
    (Op.EXECUTED, Op.CONFIRMED),
    (Op.EXECUTED, Op.FAILED),
    (Op.EXECUTED, Op.BUNDLED),
    (Op.EXECUTED, Op.NEEDS_REVIEW),
    (Op.CONFIRMED, Op.BUNDLED),
    (Op.CONFIRMED, Op.QUEUED),
    (Op.FAILED, Op.BUNDLED),
    (Op.NEEDS_REVIEW, Op.QUEUED),
    (Op.NEEDS_REVIEW, Op.CONFIRMED),
    (Op.NEEDS_REVIEW, Op.FAILED),
}
_LANDED = (Tx.MINED, Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED)
TRANSACTION_ALLOWED = (
    {(Tx.SIGNED, target) for target in (*_LANDED, Tx.BROADCAST, Tx.NEEDS_REVIEW)}
    | {(Tx.BROADCAST, target) for target in (*_LANDED, Tx.NEEDS_REVIEW)}
    | {(Tx.MINED, target) for target in (Tx.CONFIRMED, Tx.REVERTED, Tx.CANCELLED)}
    | {(source, Tx.BROADCAST) for source in _LANDED}
)
FORBIDDEN = [
    *sorted(set(itertools.product(Op, Op)) - OPERATION_ALLOWED),
    *sorted(set(itertools.product(Tx, Tx)) - TRANSACTION_ALLOWED),
]


@pytest.mark.parametrize(("source", "target"), [*sorted(OPERATION_ALLOWED), *sorted(TRANSACTION_ALLOWED)])
def test_an_edge_of_the_table_is_allowed(source: Op | Tx, target: Op | Tx) -> None:
    require_edge(source, target)
    assert source in allowed_from(target)


@pytest.mark.parametrize(("source", "target"), FORBIDDEN)
def test_any_other_edge_is_forbidden(source: Op | Tx, target: Op | Tx) -> None:
    with pytest.raises(ForbiddenTransition):
        require_edge(source, target)


def test_nothing_becomes_signed_and_every_state_has_its_row() -> None:
    with pytest.raises(ForbiddenTransition):
        allowed_from(Tx.SIGNED)
    assert set(OPERATION_EDGES) == set(Op)
    assert set(TRANSACTION_EDGES) == set(Tx)


def test_what_was_refused_is_never_done_after_all() -> None:
    assert OPERATION_EDGES[Op.REFUSED] == frozenset()
