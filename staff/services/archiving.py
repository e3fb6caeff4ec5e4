"""Archiving API calls now, in place of the beat."""

from audit.calls.archiving import ArchiveReport, archive_due
from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core.database.transactions import run_in_transaction


@needs(Right.ARCHIVE_API_LOGS)
def archive_by_staff(*, actor: str, days: int | None) -> ArchiveReport:
    """`archive_due`, with an audit entry that names who asked. Raises `NotConfigured`, `ArchiveDamaged`."""
    report = archive_due(days=days)
    after = {"olderThanDays": days, "rows": report.rows, "files": report.files}
    run_in_transaction(
        lambda: record_change(actor=actor, action="audit.calls_archived", target="platform:api-log", after=after)
    )
    return report
