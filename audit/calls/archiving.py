"""Retention of the API log: calls older than `API_LOG_RETENTION_DAYS` move into files in `API_LOG_ARCHIVE_DIR`.

Refused calls that nobody was authenticated for, and the counts of those (`RefusedCalls`), move there sooner, after
`API_LOG_REFUSED_RETENTION_DAYS`.

This is the only code that deletes rows of either table, in this order: (1) a file is written and synced, (2) its record
and an audit entry are committed, (3) the file is read back, and the rows that it holds are deleted, (4) the record says
so. If a run is killed, the next run continues at (3) with the existing file; a file without a record is never used.
Rows are read and deleted in short batches with a pause, so that writers get their turn (SQLite has one writer at a
time).
"""

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from audit import selectors, services
from audit.calls import archive_files
from audit.calls.archive_files import ArchiveDamaged
from audit.models import ApiLog, ApiLogArchive, AppendOnlyModel, RefusedCalls
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.redis import lock

logger = logging.getLogger(__name__)

ROWS_A_FILE = 20_000
ROWS_A_DELETE = 500
PAUSE_SECONDS = 0.02
LOCK_SECONDS = 3_600
ACTOR = "system:archiver"
CALLS, COUNTS = "api-log", "refused-calls"  # what the files' names begin with
MODELS: dict[str, type[AppendOnlyModel]] = {CALLS: ApiLog, COUNTS: RefusedCalls}


class NotConfigured(Exception):
    """No archive folder is configured, so nothing may be deleted."""


@dataclass(frozen=True)
class ArchiveReport:
    """What one run did; `busy` where another run is in progress."""

    busy: bool = False
    files: int = 0
    rows: int = 0


def archive_due(*, days: int | None = None) -> ArchiveReport:
    """Archive what is older than `days` (as configured); nothing where that is 0. Raises `NotConfigured`."""
    due = list(_due(days))
    if not due:
        return ArchiveReport()
    folder = _folder()
    with lock.held("api-log-archiver", seconds=LOCK_SECONDS, without_redis=True) as is_ours:
        if not is_ours:
            return ArchiveReport(busy=True)
        return _archive(folder, due)


def damaged_archives() -> list[str]:
    """What is wrong with the files that were written, one line each."""
    folder, problems = _folder(), []
    for archive in ApiLogArchive.objects.order_by("created_at").iterator(chunk_size=100):
        try:
            ids = archive_files.read_ids(folder, archive.file_name, archive.sha256)
        except ArchiveDamaged as error:
            problems.append(str(error))
            continue
        if len(ids) != archive.rows:
            problems.append(f"{archive.file_name}: {len(ids)} rows where {archive.rows} were recorded")
    return problems


def _due(days: int | None) -> Iterator[tuple[str, Callable[[], "QuerySet[Any]"]]]:
    """What a run looks for: the kind of its files, and the query of the rows that are old enough."""
    of_calls = settings.API_LOG_RETENTION_DAYS if days is None else days
    of_refused = of_calls if days is not None else settings.API_LOG_REFUSED_RETENTION_DAYS or of_calls
    now = clock.now()
    if of_refused > 0:
        refused = now - dt.timedelta(days=of_refused)
        yield CALLS, lambda: selectors.refused_before(refused)
        yield COUNTS, lambda: selectors.refused_counts_before(refused)
    if of_calls > 0:
        calls = now - dt.timedelta(days=of_calls)
        yield CALLS, lambda: selectors.calls_before(calls)


def _archive(folder: Path, due: Sequence[tuple[str, Callable[[], "QuerySet[Any]"]]]) -> ArchiveReport:
    files = rows = 0
    for archive in selectors.undeleted_archives():
        _delete_archived(folder, archive)  # a run was killed between (2) and (4)
    for kind, query in due:
        while old := list(query()[:ROWS_A_FILE]):
            day = old[0].timestamp.date()
            archive = _write(folder, kind, [row for row in old if row.timestamp.date() == day])
            _delete_archived(folder, archive)
            files, rows = files + 1, rows + archive.rows
    return ArchiveReport(files=files, rows=rows)


def _write(folder: Path, kind: str, rows: list[Any]) -> ApiLogArchive:
    key = uuid.uuid4()
    name = archive_files.file_name(kind, rows[0].timestamp.date(), key.hex)
    checksum = archive_files.write_archive(folder, name, rows)
    archive = ApiLogArchive(
        id=key,
        file_name=name,
        sha256=checksum,
        rows=len(rows),
        first_at=rows[0].timestamp,
        last_at=rows[-1].timestamp,
    )

    def record() -> None:
        archive.save(force_insert=True)
        services.record_change(
            actor=ACTOR,
            action="api_log.archived",
            target=f"api_log_archive:{key}",
            after={
                "file": name,
                "sha256": checksum,
                "rows": archive.rows,
                "firstAt": clock.isoformat(archive.first_at),
                "lastAt": clock.isoformat(archive.last_at),
            },
        )

    run_in_transaction(record)
    return archive


def _delete_archived(folder: Path, archive: ApiLogArchive) -> None:
    """Delete the rows that were read back from the file."""
    ids = archive_files.read_ids(folder, archive.file_name, archive.sha256)
    kind = next(kind for kind in MODELS if archive.file_name.startswith(kind))
    for start in range(0, len(ids), ROWS_A_DELETE):
        some = ids[start : start + ROWS_A_DELETE]
        # A plain queryset: the model's own refuses to delete, and this is the only code that may.
        QuerySet(MODELS[kind]).filter(pk__in=some).delete()
        sleep(PAUSE_SECONDS)
    ApiLogArchive.objects.filter(pk=archive.pk).update(is_deleted=True)
    logger.info("archived %d rows into %s", len(ids), archive.file_name)


def _folder() -> Path:
    if not settings.API_LOG_ARCHIVE_DIR:
        raise NotConfigured("API_LOG_ARCHIVE_DIR names no folder: nothing is archived, and nothing deleted")
    folder = Path(settings.API_LOG_ARCHIVE_DIR)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    return folder
