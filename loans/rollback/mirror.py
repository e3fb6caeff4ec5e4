"""The rollback of a position's pool debt and collateral, from the events before a place on the chain.

What a reorg undid there may never come again, so that nothing else would correct it.
"""

from chain import selectors as chain_selectors
from chain.lending import readings
from chain.models import ChainEvent
from chain.reconciling import VAULTS
from loans.chain_order import block_and_log, order_of
from loans.models import PartnerLoan, SolvencyPosition
from loans.positions import mirror

OPENED = "PositionOpened"
COLLATERAL = (OPENED, "PositionRevalued", "PositionLiquidated", "PositionClosed")


def rollback_pool_debt(position_id: int, order: int) -> None:
    """The debt of a position that no partner lent against: as in the pool's last event before `order`.

    Such a position has no entries in the ledger. Without an earlier event of the pool it owed nothing.
    """
    without_loans = SolvencyPosition.objects.filter(position_id=position_id, ledger_order__gte=order, loans_principal=0)
    if not without_loans.exists():
        return
    block, log = block_and_log(order)
    event = chain_selectors.last_event_before(
        position_id, block_number=block, log_index=log, name="SeniorPool.DebtUpdated"
    )
    before = SolvencyPosition(pool_principal=0, pool_accrued_scaled=0, pool_rate_bps=0, pool_since=0, ledger_order=0)
    if event is not None:
        mirror.set_pool_debt(before, event)
    without_loans.update(**mirror.pool_debt_fields(before))


def rollback_mirror(position_id: int, order: int) -> None:
    """The collateral, and what follows from the debt, which is rolled back already. A position that was opened later
    has no row any more, unless loans were drawn on it.

    Raises `ChainUnavailable` where only the chain can tell: the position was opened before the watcher's first block.
    """
    row = SolvencyPosition.objects.filter(position_id=position_id).first()
    if row is None:
        return
    events = chain_selectors.position_events(position_id, events=COLLATERAL, contracts=VAULTS)
    earlier = [event for event in events if order_of(event.block_number, event.log_index) < order]
    if earlier and _is_opening(earlier[0]):
        _replay(row, earlier, order)
    elif any(_is_opening(event) for event in events):
        if not PartnerLoan.objects.filter(solvency_position_id=position_id).exists():
            SolvencyPosition.objects.filter(pk=row.pk).delete()
        return
    elif len(events) > len(earlier):
        _read_from_chain(row)
    SolvencyPosition.objects.filter(pk=row.pk).update(**mirror.mirrored_fields(row))


def _is_opening(event: ChainEvent) -> bool:
    return event.name.endswith(f".{OPENED}")


def _replay(row: SolvencyPosition, events: list[ChainEvent], order: int) -> None:
    opening = mirror.opened_position(events[0])
    row.collateral_value_usd, row.collateral_amount = opening.collateral_value_usd, opening.collateral_amount
    row.active, row.liquidated_at = True, None
    for event in events[1:]:
        mirror.set_collateral(row, event)
    block, log = block_and_log(order)
    last = chain_selectors.last_event_before(row.position_id, block_number=block, log_index=log)
    row.synced_block = (last or events[-1]).block_number


def _read_from_chain(row: SolvencyPosition) -> None:
    readings.forget_block()
    reading = readings.read_position(row.position_id)
    if reading is not None:
        row.collateral_value_usd, row.collateral_amount = reading.collateral_value_usd, reading.collateral_amount
        row.active, row.synced_block = reading.active, reading.block_number
        row.liquidated_at = None if reading.active else row.liquidated_at
