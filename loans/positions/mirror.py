"""The mirror of collateral positions: each row as the vault's and the pool's events leave it."""

from chain.lending.operations import PoolDebt
from chain.models import ChainEvent
from loans.chain_order import order_of
from loans.debt import interest
from loans.models import SolvencyPosition
from partner_platform.core import clock
from partner_platform.core.collateral import TOKEN_TYPES
from partner_platform.core.money import BASIS_POINTS

MAX_HEALTH = 2**62  # of a debt of next to nothing


def opened_position(event: ChainEvent) -> SolvencyPosition:
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


def set_collateral(row: SolvencyPosition, event: ChainEvent) -> None:
    """Set the collateral in the row, in memory, to what an event of the vault reports; debts are the ledger's."""
    kind = event.name.partition(".")[2]
    if kind == "PositionRevalued":
        row.collateral_value_usd = int(event.args["collateralValueUSD"])
    elif kind in ("PositionLiquidated", "PositionClosed"):
        row.active, row.collateral_amount = False, 0
        if kind == "PositionLiquidated":
            row.liquidated_at = clock.from_seconds(event.block_time)
    row.synced_block = max(row.synced_block, event.block_number)


def set_pool_debt(row: SolvencyPosition, event: ChainEvent) -> None:
    """Set the pool's debt in the row, in memory, to what the pool's event reports."""
    debt = PoolDebt.of_event(event.args)
    row.pool_principal, row.pool_accrued_scaled, row.pool_rate_bps = debt.principal, debt.accrued, debt.rate_bps
    row.pool_since = event.block_time
    row.ledger_order = order_of(event.block_number, event.log_index)


def pool_debt_fields(row: SolvencyPosition) -> dict[str, int]:
    """The columns that `set_pool_debt` sets."""
    return {
        "pool_principal": row.pool_principal,
        "pool_accrued_scaled": row.pool_accrued_scaled,
        "pool_rate_bps": row.pool_rate_bps,
        "pool_since": row.pool_since,
        "ledger_order": row.ledger_order,
    }


def mirrored_fields(row: SolvencyPosition) -> dict[str, object]:
    """The columns that `set_collateral` sets, with debt and health as of the pool's last event."""
    debt = row.pool_principal + interest.to_base_units(row.pool_accrued_scaled)
    return {
        "collateral_value_usd": row.collateral_value_usd,
        "collateral_amount": row.collateral_amount,
        "active": row.active,
        "liquidated_at": row.liquidated_at,
        "synced_block": row.synced_block,
        "usdc_borrowed": debt,
        "health_factor_bps": health_factor_bps(row.collateral_value_usd, debt),
        "updated_at": clock.now(),
    }


def health_factor_bps(collateral_value: int, debt: int) -> int | None:
    """Value over debt in basis points, rounded down, as the vault computes it; None without debt."""
    return min(collateral_value * BASIS_POINTS // debt, MAX_HEALTH) if debt else None
