"""The mirror of collateral positions: what the vault's events say of each, and where nothing was said, a reading."""

from typing import Any

from chain.models import ChainEvent
from loans.debt import interest
from loans.ledger.ledger import order_of
from loans.models import SolvencyPosition
from partner_platform.core import clock
from partner_platform.core.collateral import TOKEN_TYPES
from partner_platform.core.money import BASIS_POINTS

MAX_HEALTH = 2**62  # of a debt of next to nothing


def opened(event: ChainEvent) -> SolvencyPosition:
    """The row of a position that was just opened, not saved."""
    args = event.args
    return SolvencyPosition(
        position_id=int(args["positionId"]),
        oaid_token_id=int(args["oaidTokenId"]),
        user_wallet=args["user"],
        collateral_token=args["collateralToken"],
        collateral_amount=int(args["collateralAmount"]),
        collateral_value_usd=int(args["collateralValueUSD"]),
        usdc_borrowed=0,
        token_type=TOKEN_TYPES[int(args["tokenType"])],
        active=True,
        synced_block=event.block_number,
    )


def follow(row: SolvencyPosition, event: ChainEvent) -> None:
    """Take what an event of the vault says of the collateral into the row, in memory; debts are the ledger's."""
    kind = event.name.partition(".")[2]
    if kind == "PositionRevalued":
        row.collateral_value_usd = int(event.args["collateralValueUSD"])
    elif kind in ("PositionLiquidated", "PositionClosed"):
        row.active, row.collateral_amount = False, 0
        if kind == "PositionLiquidated":
            row.liquidated_at = clock.from_seconds(event.block_time)
    row.synced_block = max(row.synced_block, event.block_number)


def take_pools_word(row: SolvencyPosition, event: ChainEvent) -> None:
    """Take the debt that the pool's event tells into the row, in memory."""
    row.pool_principal, row.pool_accrued = int(event.args["principal"]), int(event.args["accrued"])
    row.pool_rate, row.pool_since = int(event.args["rateBps"]), event.block_time
    row.ledger_order = order_of(event.block_number, event.log_index)


def pools_word(row: SolvencyPosition) -> dict[str, int]:
    """What `take_pools_word` changed."""
    return {
        "pool_principal": row.pool_principal,
        "pool_accrued": row.pool_accrued,
        "pool_rate": row.pool_rate,
        "pool_since": row.pool_since,
        "ledger_order": row.ledger_order,
    }


def mirrored_fields(row: SolvencyPosition) -> dict[str, Any]:
    """What `follow` may have changed, and the debt and health that follow from it as of the pool's last event."""
    debt = row.pool_principal + interest.whole(row.pool_accrued)
    return {
        "collateral_value_usd": row.collateral_value_usd,
        "collateral_amount": row.collateral_amount,
        "active": row.active,
        "liquidated_at": row.liquidated_at,
        "synced_block": row.synced_block,
        "usdc_borrowed": debt,
        "health_factor": health_factor(row.collateral_value_usd, debt),
        "updated_at": clock.now(),
    }


def health_factor(collateral_value: int, debt: int) -> int | None:
    """Value over debt in basis points, rounded down, as the vault reckons it; None without debt."""
    return min(collateral_value * BASIS_POINTS // debt, MAX_HEALTH) if debt else None
