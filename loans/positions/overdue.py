"""Held positions that wait for too long: each is reported at ERROR once, and all are counted."""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from loans.models import SolvencyPosition
from loans.positions import holding

logger = logging.getLogger(__name__)

AT_ONCE = 200  # checked in a pass
NAMED = 20  # reported in a line of their own


def report_overdue_positions(*, head: int) -> None:
    """Report positions whose next event or operation waits for more than `CHAIN_OVERDUE_BLOCKS` at block `head`."""
    waiting: list[SolvencyPosition] = []
    for row in overdue_positions_query(head)[:AT_ONCE]:
        if holding.has_work_left(row):
            waiting.append(row)
        else:
            holding.end_hold(row)
    if not waiting:
        return
    for row in waiting[:NAMED]:
        logger.error(
            "position %d waits since block %s, for %d blocks: %s",
            row.position_id,
            row.waiting_since_block,
            head - (row.waiting_since_block or 0),
            row.follow_error,
        )
    if others := waiting[NAMED:]:
        logger.error("%d more positions wait for as long: %s", len(others), _names(others))
    SolvencyPosition.objects.filter(pk__in=[row.pk for row in waiting]).update(waiting_told=True)


def overdue_positions_query(head: int) -> Any:
    """The positions to report, for the index tests too; those that wait longest come first."""
    oldest = head - settings.CHAIN_OVERDUE_BLOCKS
    unreported = SolvencyPosition.objects.filter(waiting_told__in=[False], waiting_since_block__lt=oldest)
    return unreported.order_by("waiting_since_block")


def _names(rows: Sequence[SolvencyPosition]) -> str:
    return ", ".join(str(row.position_id) for row in rows)


def count_held_positions() -> dict[str, int]:
    """How many positions are held: those that were reported, as `overdue`, and the others. For metrics."""
    held = SolvencyPosition.objects.filter(waiting_since_block__gte=0)
    overdue = held.filter(waiting_told__in=[True]).count()
    return {"waiting": held.filter(waiting_told__in=[False]).count(), "overdue": overdue}
