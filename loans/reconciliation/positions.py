"""A position against its loans, and as of block B against the vault (M4, M5).

The books of a position may be behind B (its events are read and not applied yet) or beyond it (an operation of ours
from after B is settled already). Both are corrected exactly: what was applied after B is taken off by the ledger's
entries, which hold the figures from before; what was read up to B and not applied is applied here, in memory. So a
position is compared whatever changes, and one that waits for its events is named as in motion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chain.lending.positions import VaultPosition
from chain.models import ChainEvent
from chain.reconciling import ReferenceBlock
from loans.chain_order import order_of
from loans.ledger.entries import position_before
from loans.ledger.movement import steps_of
from loans.ledger.shares import pool_debt_at
from loans.models import LedgerEntry, SolvencyPosition
from loans.positions import mirror
from loans.reconciliation.findings import BooksFinding, column, differs
from loans.reconciliation.loans import LoansOfPosition
from loans.reconciliation.records import LoanRecord, PositionRecord
from partner_platform.core.database.batches import batched

Events = Mapping[int, Sequence[ChainEvent]]


def check_books(rows: Mapping[int, PositionRecord], by_position: Mapping[str, LoansOfPosition]) -> list[BooksFinding]:
    """Each position's running debt to partners against its loans; a drawn loan's position is mirrored."""
    found = []
    sums = {int(key): of_position for key, of_position in by_position.items()}
    for position_id, row in rows.items():
        of_position = sums.pop(position_id, None)
        debt = 0 if of_position is None else of_position.debt
        found += column(row.subject, SolvencyPosition, row.pk, "total_partner_debt", row.total_partner_debt, debt)
    for position_id in sums:
        found += differs(f"position:{position_id}", "existence", "not mirrored", "loans were drawn on it")
    return found


def check_chain(
    rows: Mapping[int, PositionRecord],
    by_position: Mapping[str, LoansOfPosition],
    vault: Mapping[int, VaultPosition],
    unapplied: Events,
    moment: ReferenceBlock,
) -> tuple[list[BooksFinding], dict[str, int | None]]:
    """Each position as of the moment against the vault, and its loans' parts; what is in motion, since which block."""
    sums = {int(key): of_position for key, of_position in by_position.items()}
    before = _before(rows, moment.block_number)
    found: list[BooksFinding] = []
    motions: dict[str, int | None] = {}
    for position_id, row in rows.items():
        events = unapplied.get(position_id, ())
        waiting = _waiting_since(row, events)
        if waiting is not None:
            motions[row.subject] = waiting
        then = _as_of(row, before.get(row.position_id), events, moment.block_number)
        own = [] if then is None else _against_vault(then, vault.get(position_id), moment)
        if then is None:
            motions[row.subject] = None
        found += own + _parts(row, sums.get(position_id, LoansOfPosition()), exactly=not own)
    return found, motions


def _before(rows: Mapping[int, PositionRecord], block_number: int) -> dict[int, dict[str, Any]]:
    """Of positions that moved after the block: its columns from before the first such event."""
    first = order_of(block_number + 1, 0)
    moved = [row.position_id for row in rows.values() if row.ledger_order >= first]
    before: dict[int, dict[str, Any]] = {}
    for chosen in batched(moved):
        entries = LedgerEntry.objects.filter(position_id__in=chosen, order__gte=first)
        for entry in sorted(entries, key=lambda entry: entry.order):
            before.setdefault(entry.position_id, position_before(entry))
    return before


def _waiting_since(row: PositionRecord, events: Sequence[ChainEvent]) -> int | None:
    """The block of the first event read that the ledger has not got to; None where it is past all of them."""
    steps, _ = steps_of(row.position_id, events)
    behind = [step.movement for step in steps if step.movement.order > row.ledger_order]
    return min((movement.block_number for movement in behind), default=None)


def _as_of(
    row: PositionRecord, before: Mapping[str, object] | None, events: Sequence[ChainEvent], block_number: int
) -> PositionRecord | None:
    """The position as the books have it at the end of the block; None where that cannot be told."""
    then: Any = replace(row)
    for name, value in (before or {}).items():
        setattr(then, name, value)
    if then.ledger_order >= order_of(block_number + 1, 0):
        return None
    for event in events:
        mirror.set_collateral(then, event)
        order = order_of(event.block_number, event.log_index)
        if event.name == "SeniorPool.DebtUpdated" and order > then.ledger_order:
            mirror.set_pool_debt(then, event)
    return then


def _against_vault(row: PositionRecord, actual: VaultPosition | None, moment: ReferenceBlock) -> list[BooksFinding]:
    is_read_later = row.synced_block > moment.block_number  # mirrored by a reading, or an event, of a later block
    if actual is None and is_read_later:
        return []  # it was opened after the moment; otherwise the next run finds that it is not there
    if actual is None:
        return differs(row.subject, "existence", "mirrored", "not on the chain")
    debt = pool_debt_at(row, moment.timestamp)  # type: ignore[arg-type]
    found = differs(row.subject, "debt", debt, actual.usdc_borrowed)
    if is_read_later:
        return found
    for name, booked, value in (
        ("collateral_value_usd", row.collateral_value_usd, actual.collateral_value_usd),
        ("collateral_amount", row.collateral_amount, actual.collateral_amount),
        ("active", bool(row.active), actual.active),
        ("user_wallet", row.user_wallet, actual.user),
    ):
        found += differs(row.subject, name, booked, value)
    return found


def _parts(row: PositionRecord, loans: LoansOfPosition, *, exactly: bool) -> list[BooksFinding]:
    """The loans' share of the debt against the loans; both grow alike, so any moment will do: the ledger's own.

    `exactly`: the interest too, which a wrong debt would make wrong as well.
    """
    principal = sum(loan.bearing_principal for loan in loans.live)
    found = differs(row.subject, "loans_principal", row.loans_principal, principal)
    if row.ledger_order and exactly and not found:
        moment = max([row.pool_since, *(loan.interest_since for loan in loans.live)])
        booked = row.loans_accrued_scaled + row.loans_principal * row.pool_rate_bps * (moment - row.pool_since)
        actual = sum(_accrued(loan, moment) for loan in loans.live)
        found += differs(row.subject, "loans_accrued", booked, actual)
    return found


def _accrued(loan: LoanRecord, moment: int) -> int:
    """The loan's exact interest at a moment."""
    growth = loan.bearing_principal * loan.interest_rate_bps * (moment - loan.interest_since)
    return int(loan.accrued_scaled) + growth
