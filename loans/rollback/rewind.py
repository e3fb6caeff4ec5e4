"""The mirror of a position as it was before a place on the chain, from the events before it: what a reorg undid there
may never come again, so that nothing else would put it right.
"""

from chain import selectors as chain_selectors
from chain.lending import readings
from chain.models import ChainEvent
from chain.reconciling import VAULTS
from loans.ledger.ledger import LOGS_PER_BLOCK, order_of
from loans.models import PartnerLoan, SolvencyPosition
from loans.positions import mirror

OPENED = "PositionOpened"
COLLATERAL = (OPENED, "PositionRevalued", "PositionLiquidated", "PositionClosed")


def rewind_pools_word(position_id: int, order: int) -> None:
    """The debt of a position that no partner lent against: the pool's last word before `order`.

    Such a position has no entries in the ledger. Where the pool had not spoken before, it owed nothing.
    """
    bare = SolvencyPosition.objects.filter(position_id=position_id, ledger_order__gte=order, loans_principal=0)
    if not bare.exists():
        return
    block, log = divmod(order, LOGS_PER_BLOCK)
    event = chain_selectors.last_event_before(
        position_id, block_number=block, log_index=log, name="SeniorPool.DebtUpdated"
    )
    before = SolvencyPosition(pool_principal=0, pool_accrued=0, pool_rate=0, pool_since=0, ledger_order=0)
    if event is not None:
        mirror.take_pools_word(before, event)
    bare.update(**mirror.pools_word(before))


def rewind_mirror(position_id: int, order: int) -> None:
    """The collateral, and what follows from the debt, which is to be rewound already; no row where it was not open yet.

    Raises `ChainUnavailable` where only the chain can tell: the position was opened before the watcher's time.
    """
    row = SolvencyPosition.objects.filter(position_id=position_id).first()
    if row is None:
        return
    events = chain_selectors.position_events(position_id, events=COLLATERAL, contracts=VAULTS)
    kept = [event for event in events if order_of(event.block_number, event.log_index) < order]
    if kept and _is_opening(kept[0]):
        _replay(row, kept, order)
    elif any(_is_opening(event) for event in events):
        if not PartnerLoan.objects.filter(solvency_position_id=position_id).exists():
            SolvencyPosition.objects.filter(pk=row.pk).delete()
        return
    elif len(events) > len(kept):
        _read_again(row)
    SolvencyPosition.objects.filter(pk=row.pk).update(**mirror.mirrored_fields(row))


def _is_opening(event: ChainEvent) -> bool:
    return event.name.endswith(f".{OPENED}")


def _replay(row: SolvencyPosition, events: list[ChainEvent], order: int) -> None:
    opening = mirror.opened(events[0])
    row.collateral_value_usd, row.collateral_amount = opening.collateral_value_usd, opening.collateral_amount
    row.active, row.liquidated_at = True, None
    for event in events[1:]:
        mirror.follow(row, event)
    block, log = divmod(order, LOGS_PER_BLOCK)
    last = chain_selectors.last_event_before(row.position_id, block_number=block, log_index=log)
    row.synced_block = (last or events[-1]).block_number


def _read_again(row: SolvencyPosition) -> None:
    readings.forget_block()
    reading = readings.read_position(row.position_id)
    if reading is not None:
        row.collateral_value_usd, row.collateral_amount = reading.collateral_value_usd, reading.collateral_amount
        row.active, row.synced_block = reading.active, reading.block_number
        row.liquidated_at = None if reading.active else row.liquidated_at
