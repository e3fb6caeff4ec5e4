"""Positions that wait for long: somebody is told, once, and they are counted."""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from loans.models import SolvencyPosition
from loans.positions import holding

logger = logging.getLogger(__name__)

AT_ONCE = 200  # looked at in a pass
NAMED = 20  # told in a line of their own


def tell_overdue(*, head: int) -> None:
    """Tell of positions whose next event or operation waits for more than `CHAIN_OVERDUE_BLOCKS` at block `head`."""
    waiting: list[SolvencyPosition] = []
    for row in overdue_query(head)[:AT_ONCE]:
        if holding.is_waited_for(row):
            waiting.append(row)
        else:
            holding.let_go(row)
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


def overdue_query(head: int) -> Any:
    """The positions to tell of, for the index tests too; who waits longest comes first."""
    oldest = head - settings.CHAIN_OVERDUE_BLOCKS
    untold = SolvencyPosition.objects.filter(waiting_told__in=[False], waiting_since_block__lt=oldest)
    return untold.order_by("waiting_since_block")


def _names(rows: Sequence[SolvencyPosition]) -> str:
    return ", ".join(str(row.position_id) for row in rows)


def counts() -> dict[str, int]:
    """Positions that are held: those that somebody was told of, as `overdue`, and the others. For metrics."""
    held = SolvencyPosition.objects.filter(waiting_since_block__gte=0)
    overdue = held.filter(waiting_told__in=[True]).count()
    return {"waiting": held.filter(waiting_told__in=[False]).count(), "overdue": overdue}
