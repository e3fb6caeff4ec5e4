"""The events of a position as movements of its debt, and what else they say."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.lending.operations import PoolDebt
from chain.models import ChainEvent
from loans.ledger.ledger import Movement


@dataclass(frozen=True)
class Step:
    """A movement of a position's debt with the vault's event that names it, and the events it is made of."""

    movement: Movement
    event: ChainEvent
    events: tuple[ChainEvent, ...]


def steps_of(position_id: int, events: Sequence[ChainEvent]) -> tuple[list[Step], list[ChainEvent]]:
    """The movements of the debt in the events, in order, and the events that move no debt."""
    steps: list[Step] = []
    loose: list[ChainEvent] = []
    pool: list[ChainEvent] = []
    for event in events:
        contract, _, kind = event.name.partition(".")
        if event.name == "SeniorPool.DebtUpdated":
            pool.append(event)
        elif contract != "SeniorPool" and kind in ("USDCBorrowed", "LoanRepaid", "PositionLiquidated"):
            steps.append(Step(_movement(position_id, event, pool), event, (*pool, event)))
            pool = []
        else:
            loose.append(event)
    return steps, loose + pool


def _movement(position_id: int, event: ChainEvent, pool: Sequence[ChainEvent]) -> Movement:
    last = pool[-1] if pool else None
    after = None
    if last is not None:
        after = PoolDebt(int(last.args["principal"]), int(last.args["accrued"]), int(last.args["rateBps"]))
    return Movement(
        position_id=position_id,
        block_number=event.block_number,
        log_index=last.log_index if last is not None else event.log_index,
        moment=event.block_time,
        tx_hash=event.tx_hash,
        after=after,
    )
