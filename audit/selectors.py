"""Reads of audit records, newest first."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from audit.models import ApiLog, ApiLogArchive, AuditBlock, AuditEntry, RefusedCalls
from partner_platform.core import clock
from partner_platform.core.web.pagination import MOST_COUNTED, Page, paginate, within_days

OWN_CALLS_DAYS = 30  # how far back a partner reads its own calls
_NEWEST_FIRST = ("-timestamp", "-id")


@dataclass(frozen=True, kw_only=True)
class CallSelection:
    """Which of a partner's own calls: of whole UTC days, both included, and equal in what is not None.

    `partner_id` is the partner's public id, `request_id` ours or the partner's own id of the call, `endpoint` a path.
    """

    partner_id: str
    request_id: str | None = None
    status_code: int | None = None
    endpoint: str | None = None
    start: dt.date | None = None
    end: dt.date | None = None

    @property
    def scope(self) -> str:
        """What a cursor of this selection belongs to; as JSON, for a partner chooses some of the texts."""
        columns = (self.request_id, self.status_code, self.endpoint)
        return f"calls:{self.partner_id}:{self.start}:{self.end}:{json.dumps(columns)}"


def list_own_calls(selection: CallSelection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """A page of the partner's calls of the last `OWN_CALLS_DAYS`, newest first."""
    return paginate(
        streams=own_calls_queries(selection),
        scope=selection.scope,
        limit=limit,
        offset=offset,
        cursor=cursor,
        by="timestamp",
    )


def own_calls_queries(selection: CallSelection) -> list[QuerySet[ApiLog]]:
    """The list's queries, merged by time; for the index tests too.

    An index has the calls of one request id, of one path or of one status in the list's order, whichever are given;
    what else is given is compared row by row. An id is one of ours, or the caller's own: a query for each, as no
    database has an order over two indexes.
    """
    calls: QuerySet[ApiLog] = ApiLog.objects.filter(partner_id=selection.partner_id).order_by(*_NEWEST_FIRST)
    calls = calls.filter(timestamp__gte=clock.now() - dt.timedelta(days=OWN_CALLS_DAYS))
    wanted = {"status_code": selection.status_code, "endpoint": selection.endpoint}
    calls = calls.filter(**{column: value for column, value in wanted.items() if value is not None})
    calls = within_days(calls, selection.start, selection.end, "timestamp")
    if (asked := selection.request_id) is None:
        return [calls]
    return [calls.filter(request_id=asked), calls.filter(client_request_id=asked).exclude(request_id=asked)]


def actors_of(action: str, *, targets: Sequence[str]) -> dict[str, str]:
    """Who did this last to each of the targets, by target; one that it was not done to is not among them."""
    entries = AuditEntry.objects.filter(target__in=list(targets), action=action).order_by("timestamp")
    return dict(entries.values_list("target", "actor"))


@dataclass(frozen=True, kw_only=True)
class LogSelection:
    """Which calls, of one partner or of all: of whole UTC days, both included, and equal in what is not None.

    `request_id` is ours; together with `partner_id` also the partner's own id of the call.
    """

    partner_id: str | None = None
    success: bool | None = None
    endpoint: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    start: dt.date | None = None
    end: dt.date | None = None

    @property
    def scope(self) -> str:
        """What a cursor of this selection belongs to; as JSON, for callers choose some of the texts."""
        columns = (self.partner_id, self.success, self.endpoint, self.status_code, self.request_id)
        return f"logs:{self.start}:{self.end}:{json.dumps(columns)}"


def list_logs(selection: LogSelection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """A page of the calls, newest first; no more than `MOST_COUNTED` are counted."""
    return paginate(
        streams=logs_queries(selection),
        scope=selection.scope,
        limit=limit,
        offset=offset,
        cursor=cursor,
        by="timestamp",
        most_counted=MOST_COUNTED,
    )


def is_success(status_code: int) -> bool:
    """Whether a call with this status counts as one that succeeded."""
    return status_code < 400


def logs_queries(selection: LogSelection) -> list[QuerySet[ApiLog]]:
    """The list's queries, merged by time; for the index tests too.

    An index has the calls in the list's order for each of success, path and status, of one partner and of all; where
    two of these are given, the rows of one are compared with the other. A request id of a caller's is not looked for
    among all partners' calls: any number of callers may use the same.
    """
    calls: QuerySet[ApiLog] = ApiLog.objects.order_by(*_NEWEST_FIRST)
    wanted = {
        "partner_id": selection.partner_id,
        "endpoint": selection.endpoint,
        "status_code": selection.status_code,
    }
    calls = calls.filter(**{column: value for column, value in wanted.items() if value is not None})
    if selection.success is not None and selection.status_code is not None:
        # The status says it already. To look for both would read all calls of one to find none of the other.
        calls = calls if selection.success == is_success(selection.status_code) else calls.none()
    elif selection.success is not None:
        calls = calls.filter(success__in=[selection.success])  # `success=False` would be NOT success, without an index
    calls = within_days(calls, selection.start, selection.end, "timestamp")
    if (asked := selection.request_id) is None:
        return [calls]
    ours = calls.filter(request_id=asked)
    if selection.partner_id is None:
        return [ours]
    return [ours, calls.filter(client_request_id=asked).exclude(request_id=asked)]


def changes_of(target: str) -> QuerySet[AuditEntry]:
    """The entries of `partner:partner_xyz_lending_001`, or another target."""
    entries: QuerySet[AuditEntry] = AuditEntry.objects.filter(target=target).order_by("-timestamp")
    return entries


def changed_since(block: int, *, prefix: str, most: int) -> set[str] | None:
    """The targets that begin with `prefix` of entries sealed after this block, and of those not sealed yet.

    Entries are sealed once they are committed, so none is missed that a reader of the same moment could not see when
    `block` was the newest. None where there are more than `most` entries.
    """
    found: set[str] = set()
    for entries in (AuditEntry.objects.filter(block=0), AuditEntry.objects.filter(block__gt=block)):
        targets = list(entries.order_by("block", "timestamp").values_list("target", flat=True)[: most + 1])
        if len(targets) > most:
            return None
        found |= {target for target in targets if target.startswith(prefix)}
    return found


def newest_block() -> AuditBlock | None:
    """The newest block of the chain."""
    block: AuditBlock | None = AuditBlock.objects.order_by("-number").first()
    return block


def has_block(*, number: int, block_hash: str) -> bool:
    """True where this block exists and has this hash."""
    return AuditBlock.objects.filter(number=number, hash=block_hash).exists()


def block_of_sequence(sequence: int) -> AuditBlock | None:
    """The block that holds the entry with this sequence number."""
    block: AuditBlock | None = (
        AuditBlock.objects.filter(first_sequence__lte=sequence).order_by("-first_sequence").first()
    )
    return block if block is not None and sequence <= block.last_sequence else None


def present_ids(entry_ids: list[str]) -> set[str]:
    """Those of these entries (ids as hex) that exist."""
    return {pk.hex for pk in AuditEntry.objects.filter(pk__in=entry_ids).values_list("pk", flat=True)}


def calls_before(cutoff: dt.datetime) -> QuerySet[ApiLog]:
    """Calls older than this, oldest first."""
    found: QuerySet[ApiLog] = ApiLog.objects.filter(timestamp__lt=cutoff).order_by("timestamp")
    return found


def refused_before(cutoff: dt.datetime) -> QuerySet[ApiLog]:
    """Refused calls that nobody was authenticated for, older than this, oldest first."""
    return calls_before(cutoff).filter(success__in=[False], partner_id="")


def refused_counts_before(cutoff: dt.datetime) -> QuerySet[RefusedCalls]:
    """Counts of refused calls of minutes before this, oldest first."""
    found: QuerySet[RefusedCalls] = RefusedCalls.objects.filter(timestamp__lt=cutoff).order_by("timestamp")
    return found


def undeleted_archives() -> list[ApiLogArchive]:
    """Archives whose rows may still be in the table, oldest first."""
    return list(undeleted_archives_query())


def undeleted_archives_query() -> QuerySet[ApiLogArchive]:
    """The query of `undeleted_archives`, used by the index tests too."""
    # __in, for `is_deleted=False` becomes NOT is_deleted on SQLite, which no index serves.
    return ApiLogArchive.objects.filter(is_deleted__in=[False]).order_by("created_at")
