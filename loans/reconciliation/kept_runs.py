"""The runs that were kept, and the sums that each leaves to the next."""

import datetime as dt
import logging
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet

from loans.models import ReconciledDay, ReconciliationRun
from loans.reconciliation.days import FIGURES, Days
from loans.reconciliation.look import Kept
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 500
DayKey = tuple[UUID, dt.date]


def newest() -> ReconciliationRun | None:
    """The last run that keeps sums."""
    return _kept().order_by("-number").first()


def newest_full() -> ReconciliationRun | None:
    """The last of them that compared every row."""
    return _kept().filter(is_full__in=[True]).order_by("-created_at").first()


def _kept() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.filter(number__isnull=False)


def kept_of(run: ReconciliationRun | None) -> Kept | None:
    """What a quick look may begin from; None where the run found something, or does not know all that was in motion."""
    if run is None or run.finding_count or len(run.in_motion) != run.in_motion_count:
        return None
    return Kept(
        block_number=run.block_number,
        block_hash=run.block_hash,
        audit_block=run.audit_block,
        flows={account: int(amount) for account, amount in (run.flows or {}).items()},
        in_motion=tuple(item["subject"] for item in run.in_motion),
    )


def keep(run: ReconciliationRun, last: ReconciliationRun | None, days: Days) -> None:
    """Write the run, and the sums of its days; where another run was kept since `last`, the run alone."""
    sums = dict(days.items())

    def write() -> None:
        run.number = 1 if last is None else (last.number or 0) + 1
        run.save(force_insert=True)
        _keep_days(sums, is_all=run.is_full)

    try:
        run_in_transaction(write)
    except IntegrityError:
        logger.info("another reconciliation ended at the same time: this one keeps no sums")
        run.number = None
        run.save(force_insert=True)


def _keep_days(sums: dict[DayKey, list[int]], *, is_all: bool) -> None:
    """Write what differs from the kept sums; where these are all days there are, no others stay."""
    known = _known(sums, is_all=is_all)
    changed, replaced = [], []
    for key, values in sums.items():
        row = known.pop(key, None)
        if row is not None and values == [getattr(row, name) for name in FIGURES]:
            continue
        if row is not None:
            replaced.append(row.pk)
        row = row or ReconciledDay(partner_id=key[0], day=key[1])
        for name, value in zip(FIGURES, values, strict=True):
            setattr(row, name, value)
        changed.append(row)
    replaced += [row.pk for row in known.values()] if is_all else []
    for chosen in _chunks(replaced):
        ReconciledDay.objects.filter(pk__in=chosen).delete()
    ReconciledDay.objects.bulk_create(changed, batch_size=ROWS_AT_ONCE)


def _known(sums: dict[DayKey, list[int]], *, is_all: bool) -> dict[DayKey, ReconciledDay]:
    rows = ReconciledDay.objects.all()
    if not is_all:
        partners, days = sorted({partner for partner, _ in sums}), sorted({day for _, day in sums})
        rows = rows.filter(partner_id__in=partners, day__in=days)
    return {(row.partner_id, row.day): row for row in rows}


def _chunks(keys: list[Any]) -> Any:
    remaining = iter(keys)
    while chosen := list(islice(remaining, ROWS_AT_ONCE)):
        yield chosen
