"""Reading the record, newest first."""

import datetime as dt

from django.db.models import QuerySet

from audit.models import ApiLog, AuditEntry


def calls(
    *,
    partner_id: str | None = None,
    success: bool | None = None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> QuerySet[ApiLog]:
    """The calls of a partner (all without one) from `start`, included, to `end`, excluded."""
    found: QuerySet[ApiLog] = ApiLog.objects.order_by("-timestamp")
    if partner_id is not None:
        found = found.filter(partner_id=partner_id)
    if success is not None:
        found = found.filter(success__in=[success])  # `success=False` is NOT success on SQLite: no index serves it
    if start is not None:
        found = found.filter(timestamp__gte=start)
    if end is not None:
        found = found.filter(timestamp__lt=end)
    return found


def changes_of(target: str) -> QuerySet[AuditEntry]:
    """What happened to `partner:partner_xyz_lending_001`, or another target."""
    entries: QuerySet[AuditEntry] = AuditEntry.objects.filter(target=target).order_by("-timestamp")
    return entries
