"""What may be sent of an endpoint now, in order per loan.

A page holds what is due, the longest due first. Of each loan in it every pending delivery is read in the feed's order:
those before the first one that is not due yet may be sent; those after it are put off to its due time, so that they are
not read again and again. So nothing of a loan overtakes, and other loans are not held up.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from events.models import Event
from partner_platform.core import clock
from partner_platform.core.database.batches import batched
from partner_platform.core.database.transactions import run_in_transaction
from webhooks import metrics
from webhooks.delivery.lanes import Job, Lane
from webhooks.models import Delivery, DeliveryStatus

ROWS_EACH = 25  # of a page, for each post that may be under way at once
ROWS_OF_LOANS = 1_000  # of the page's loans
ROWS_BY_HAND = 5  # of an endpoint that fails
NOT_KEPT = "The event is older than the feed keeps"


def read(lane: Lane) -> tuple[list[Job], bool]:
    """The jobs of a lane that are due and not in memory, and whether these are all of them."""
    now = clock.now()
    pending = Delivery.objects.filter(endpoint_id=lane.endpoint.pk, status=DeliveryStatus.PENDING)
    page, is_whole = _page(pending, lane, now)
    loans = sorted({row.loan_id for row in page if row.loan_id is not None})
    of_loans, has_all = _of_loans(pending, loans)
    sendable, heads = _in_order(of_loans, now)
    _put_off(pending, heads)
    sendable += [row for row in page if row.loan_id is None]
    return _jobs(_by_hand_first(sendable), lane), is_whole and has_all


def _page(pending: QuerySet[Delivery], lane: Lane, now: dt.datetime) -> tuple[list[Delivery], bool]:
    due = pending.filter(due_at__lte=now)
    if lane.behind:  # loans in memory
        due = due.filter(Q(loan_id=None) | ~Q(loan_id__in=list(lane.behind)))
    limit = ROWS_EACH * lane.limit + len(lane.known)
    page = list(due.order_by("due_at", "number")[:limit])
    rows = {row.pk: row for row in [*_asked_for(due, lane), *page] if row.pk not in lane.known}
    return list(rows.values()), len(page) < limit


def _asked_for(due: QuerySet[Delivery], lane: Lane) -> list[Delivery]:
    """Of an endpoint that fails, what was asked for by hand last: it may get one try, and that is to be this one."""
    if not lane.health.failures_in_a_row:
        return []
    return list(due.filter(by_hand__in=[True]).order_by("-due_at")[:ROWS_BY_HAND])


def _by_hand_first(rows: Sequence[Delivery]) -> list[Delivery]:
    """What was asked for by hand before the rest, with all of its loan; each part in the feed's order."""
    loans = {row.loan_id for row in rows if row.by_hand and row.loan_id is not None}
    return sorted(rows, key=lambda row: (not (row.by_hand or row.loan_id in loans), row.number, row.resend))


def _of_loans(pending: QuerySet[Delivery], loans: Sequence[UUID]) -> tuple[list[Delivery], bool]:
    """All that is pending of the loans up to some number of the feed, in its order, and whether it is all."""
    if not loans:
        return [], True
    rows = list(pending.filter(loan_id__in=loans).order_by("number", "resend")[:ROWS_OF_LOANS])
    if len(rows) < ROWS_OF_LOANS:
        return rows, True
    return [row for row in rows if row.number < rows[-1].number], False


def _in_order(rows: Sequence[Delivery], now: dt.datetime) -> tuple[list[Delivery], dict[UUID | None, Delivery]]:
    """Those that may be sent; and by loan the first one that is not due, where a later one is."""
    sendable: list[Delivery] = []
    first_not_due: dict[UUID | None, Delivery] = {}
    heads: dict[UUID | None, Delivery] = {}
    for row in rows:
        head = first_not_due.get(row.loan_id)
        if head is None and row.due_at <= now:
            sendable.append(row)
        elif head is None:
            first_not_due[row.loan_id] = row
        elif row.due_at < head.due_at:
            heads[row.loan_id] = head
    return sendable, heads


def _put_off(pending: QuerySet[Delivery], heads: dict[UUID | None, Delivery]) -> None:
    """Make what is behind these heads due with them."""
    if not heads:
        return

    def write() -> None:
        for loan, head in heads.items():
            behind = pending.filter(loan_id=loan, number__gte=head.number, due_at__lt=head.due_at)
            behind.update(due_at=head.due_at)

    run_in_transaction(write)


def _jobs(rows: Sequence[Delivery], lane: Lane) -> list[Job]:
    bodies: dict[UUID, str] = {}
    for some in batched([row.event_id for row in rows]):
        bodies |= dict(Event.objects.filter(pk__in=some).values_list("pk", "body"))
    lost = [row.pk for row in rows if row.event_id not in bodies]
    for some in batched(lost):
        failed = Delivery.objects.filter(pk__in=some, status=DeliveryStatus.PENDING).update(
            status=DeliveryStatus.FAILED, last_error=NOT_KEPT, finished_at=clock.now()
        )
        metrics.deliveries.labels(outcome="failed").inc(failed)
    return [Job(row, bodies[row.event_id], lane.endpoint.pk) for row in rows if row.event_id in bodies]
