"""From what the chain tells to a `Movement` of a position's ledger."""

from chain.lending import operations
from chain.models import Operation
from loans.ledger.ledger import Movement
from partner_platform.core.invariants import InvariantViolation


def movement_of(operation: Operation, position_id: int) -> Movement:
    """Where and when a confirmed operation of ours moved the position's debt, and the debt after it."""
    if operation.block_number is None or operation.block_time is None:
        raise InvariantViolation(f"M2: {operation.key} is confirmed without a block")
    logs = operation.outcome_logs or []
    return Movement(
        position_id=position_id,
        block_number=operation.block_number,
        log_index=operations.movement_index(logs),
        moment=int(operation.block_time.timestamp()),
        tx_hash=operation.tx_hash,
        after=operations.pool_debt(logs),
    )
