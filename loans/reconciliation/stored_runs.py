"""The stored runs, and the sums that each leaves to the next."""

import datetime as dt
import logging
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet

from loans.models import ReconciledDay, ReconciliationRun
from loans.reconciliation.comparison import Baseline
from loans.reconciliation.days import FIGURES, Days
from partner_platform.core.database.batches import batched
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 500
DayKey = tuple[UUID, dt.date]


def newest_run() -> ReconciliationRun | None:
    """The last run that left sums."""
    return _with_sums().order_by("-number").first()


def newest_full_run() -> ReconciliationRun | None:
    """The last of them that compared every row."""
    return _with_sums().filter(is_full__in=[True]).order_by("-created_at").first()


def _with_sums() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.filter(number__isnull=False)


def baseline_of(run: ReconciliationRun | None) -> Baseline | None:
    """What a quick comparison starts from; None where the run found something, or does not list all in motion."""
    if run is None or run.finding_count or len(run.in_motion) != run.in_motion_count:
        return None
    return Baseline(
        block_number=run.block_number,
        block_hash=run.block_hash,
        audit_block=run.audit_block,
        flows={account: int(amount) for account, amount in (run.flows or {}).items()},
        in_motion=tuple(item["subject"] for item in run.in_motion),
    )


def store_run(run: ReconciliationRun, last: ReconciliationRun | None, days: Days) -> None:
    """Write the run, and the sums of its days; where another run was stored since `last`, the run alone."""
    sums = dict(days.items())

    def write() -> None:
        run.number = 1 if last is None else (last.number or 0) + 1
        run.save(force_insert=True)
        _store_days(sums, is_all=run.is_full)

    try:
        run_in_transaction(write)
    except IntegrityError:
        logger.info("another reconciliation ended at the same time: this one leaves no sums")
        run.number = None
        run.save(force_insert=True)


def _store_days(sums: dict[DayKey, list[int]], *, is_all: bool) -> None:
    """Write what differs from the stored sums; where these are all days there are, the others are deleted."""
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
    for chosen in batched(replaced):
        ReconciledDay.objects.filter(pk__in=chosen).delete()
    ReconciledDay.objects.bulk_create(changed, batch_size=ROWS_AT_ONCE)


def _known(sums: dict[DayKey, list[int]], *, is_all: bool) -> dict[DayKey, ReconciledDay]:
    rows = ReconciledDay.objects.all()
    if not is_all:
        partners, days = sorted({partner for partner, _ in sums}), sorted({day for _, day in sums})
        rows = rows.filter(partner_id__in=partners, day__in=days)
    return {(row.partner_id, row.day): row for row in rows}
