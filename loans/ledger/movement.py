"""What an event at the pool is to the ledger: a movement of one position's debt, with its place on the chain.

A movement comes from a confirmed operation of ours (`movement_of`) or from the watcher's events (`steps_of`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.lending import operations
from chain.lending.operations import PoolDebt
from chain.models import ChainEvent, Operation
from loans.chain_order import order_of
from partner_platform.core.invariants import InvariantViolation

NO_EVIDENCE: dict[str, object] = {"evidence_order": 0, "evidence_tx_hash": "", "evidence_block_hash": ""}


@dataclass(frozen=True, kw_only=True)
class Movement:
    """An event at the pool: where and when it happened, and the position's debt after it, as the pool reports it."""

    position_id: int
    block_number: int
    log_index: int
    timestamp: int  # of the block, seconds since the epoch
    tx_hash: str
    block_hash: str
    after: PoolDebt | None

    @property
    def order(self) -> int:
        """Its place on the chain, as one number."""
        return order_of(self.block_number, self.log_index)

    @property
    def evidence(self) -> dict[str, object]:
        """The columns of a loan or repayment that it proves (`loans.models.evidence.Proven`)."""
        return {
            "evidence_order": self.order,
            "evidence_tx_hash": self.tx_hash,
            "evidence_block_hash": self.block_hash,
        }


@dataclass(frozen=True)
class Step:
    """A movement of a position's debt with the vault's event that names it, and the events it is made of."""

    movement: Movement
    event: ChainEvent
    events: tuple[ChainEvent, ...]


def movement_of(operation: Operation, position_id: int) -> Movement:
    """Where and when a confirmed operation of ours moved the position's debt, and the debt after it."""
    if operation.block_number is None or operation.block_time is None:
        raise InvariantViolation(f"M2: {operation.key} is confirmed without a block")
    logs = operation.outcome_logs or []
    return Movement(
        position_id=position_id,
        block_number=operation.block_number,
        log_index=operations.movement_index(logs),
        timestamp=int(operation.block_time.timestamp()),
        tx_hash=operation.tx_hash,
        block_hash=operation.block_hash,
        after=operations.pool_debt(logs),
    )


def failure_evidence(operation: Operation) -> dict[str, object]:
    """The columns of a loan or repayment whose operation failed in a block; none where it was refused before."""
    if operation.block_number is None:
        return {}
    return {
        "evidence_order": order_of(operation.block_number, 0),
        "evidence_tx_hash": operation.tx_hash,
        "evidence_block_hash": operation.block_hash,
    }


def steps_of(position_id: int, events: Sequence[ChainEvent]) -> tuple[list[Step], list[ChainEvent]]:
    """The movements of the debt in the events, in order, and the events that move no debt."""
    steps: list[Step] = []
    others: list[ChainEvent] = []
    pool: list[ChainEvent] = []
    for event in events:
        contract, _, kind = event.name.partition(".")
        if event.name == "SeniorPool.DebtUpdated":
            pool.append(event)
        elif contract != "SeniorPool" and kind in ("USDCBorrowed", "LoanRepaid", "PositionLiquidated"):
            steps.append(Step(_movement_in(position_id, event, pool), event, (*pool, event)))
            pool = []
        else:
            others.append(event)
    return steps, others + pool


def _movement_in(position_id: int, event: ChainEvent, pool: Sequence[ChainEvent]) -> Movement:
    last = pool[-1] if pool else None
    return Movement(
        position_id=position_id,
        block_number=event.block_number,
        log_index=last.log_index if last is not None else event.log_index,
        timestamp=event.block_time,
        tx_hash=event.tx_hash,
        block_hash=event.block_hash,
        after=PoolDebt.of_event(last.args) if last is not None else None,
    )
