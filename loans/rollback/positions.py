"""The rollback of a position's books to before a block, and what is left to do where it cannot be done at once.

A position that cannot be rolled back does not keep the watcher from its rollback: `undo_from` says from which place on
it is still to be done, and the ledger applies nothing to the position before that is finished.
"""

import datetime as dt
import logging
from typing import Any

from chain import selectors as chain_selectors
from chain import services as chain_services
from chain.lending.readings import ReadingRefused
from chain.rpc.clients import ChainUnavailable
from loans.chain_order import block_of, order_of
from loans.models import LedgerEntry, SolvencyPosition
from loans.positions import holding
from loans.positions.rows import rows_of
from loans.rollback.entries import rollback_entry
from loans.rollback.mirror import rollback_mirror, rollback_pool_debt
from partner_platform.core import backoff, clock
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)


def rollback_positions(block: int) -> None:
    """Undo whatever was applied from this block on, on every position; may be called again."""
    order = order_of(block, 0)
    moved = SolvencyPosition.objects.filter(ledger_order__gte=order).values_list("position_id", flat=True)
    for position_id in sorted({*moved, *chain_selectors.positions_since(block)}):
        try:
            _rollback_position(position_id, order)
        except ChainUnavailable as error:
            if not isinstance(error, ReadingRefused):
                raise
            _postpone(position_id, order, error)
        except Exception as error:  # noqa: BLE001 - logged by `_postpone`
            _postpone(position_id, order, error)


def pending_rollbacks(limit: int) -> list[SolvencyPosition]:
    """Positions whose rollback is not finished and whose pause is over."""
    return list(pending_rollbacks_query(clock.now())[:limit])


def pending_rollbacks_query(now: dt.datetime) -> Any:
    """The query of `pending_rollbacks`, for the index tests too."""
    return SolvencyPosition.objects.filter(undo_from__gte=0, follow_after__lte=now)


def finish_rollback(row: SolvencyPosition) -> None:
    """Do what could not be done when the reorg was seen. `row` is altered too; raises what stops it still."""
    order = row.undo_from
    if order is None:
        return
    _rollback_position(row.position_id, order)
    SolvencyPosition.objects.filter(pk=row.pk, undo_from=order).update(undo_from=None)
    row.undo_from = None
    holding.end_hold(row)


def rollback_ledger(position_id: int, order: int) -> None:
    """Undo the position's movements from `order` on, newest first, one transaction each."""
    entries = LedgerEntry.objects.filter(position_id=position_id, order__gte=order).order_by("-order")
    for entry in list(entries):
        run_in_transaction(lambda entry=entry: rollback_entry(entry))  # type: ignore[misc]
    rollback_pool_debt(position_id, order)
    chain_services.unapply_events(position_id=position_id, from_block=block_of(order))


def _rollback_position(position_id: int, order: int) -> None:
    rollback_ledger(position_id, order)
    rollback_mirror(position_id, order)
    for row in rows_of([position_id]).values():
        if row.undo_from is None:
            holding.end_hold(row)


def _postpone(position_id: int, order: int, error: Exception) -> None:
    """Note that the position's rollback is still to be done, and hold the position until it is."""
    logger.error("position %d: the rollback of a reorg fails, and is tried again", position_id, exc_info=error)
    for row in rows_of([position_id]).values():
        first = order if row.undo_from is None else min(order, row.undo_from)
        SolvencyPosition.objects.filter(pk=row.pk).update(undo_from=first)
        until = backoff.next_try(row.follow_failures + 1)
        holding.hold_position(row, until=until, block=block_of(first), why=error)
