"""`payment.due_soon`: an instalment is due within `LOAN_DUE_SOON_SECONDS`, told once for each due date.

A loan's `untold_due_at` is its next due date until that was told, so that a sweep finds by an index what is to be told
and nothing else. The event changes nothing that the loan owes and has no audit entry.
"""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from events import selectors as events_selectors
from events.kinds import EventType
from events.services import event_id_of
from loans.debt.schedules import PAID
from loans.models import LoanStatus, PartnerLoan
from loans.objects.events import LoanEvent, record_loan_events
from partner_platform.core.clock import isoformat
from partner_platform.core.database.batches import batched
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import run_in_transaction

LOANS_AT_ONCE = 1_000  # in one sweep; the next one goes on
LOANS_PER_TRANSACTION = 50


class _NotAsRead(Exception):
    """One of the loans was paid, or told by another sweep, since it was read."""


def tell_due_soon(*, now: dt.datetime) -> int:
    """Record what is due soon at `now` (the newest block's time); returns how many loans were told of.

    However many are due, some ten queries for each 50 of them. A loan that changes meanwhile is the next sweep's.
    """
    due = list(due_soon_query(now).values_list("pk", flat=True)[:LOANS_AT_ONCE])
    return sum(alone(partial(_tell_some, keys, now), "telling what is due soon") for keys in _chosen(due))


def due_soon_query(now: dt.datetime) -> QuerySet[PartnerLoan]:
    """Active loans with a due date ahead that is near and not told yet, the nearest first. For the index tests too."""
    until = now + dt.timedelta(seconds=settings.LOAN_DUE_SOON_SECONDS)
    near = PartnerLoan.objects.filter(status=LoanStatus.ACTIVE, untold_due_at__gt=now, untold_due_at__lte=until)
    return near.order_by("untold_due_at")


def _chosen(keys: Sequence[UUID]) -> list[list[UUID]]:
    return [list(chosen) for chosen in batched(keys, LOANS_PER_TRANSACTION)]


def _tell_some(keys: Sequence[UUID], now: dt.datetime) -> int:
    try:
        return run_in_transaction(lambda: _tell(keys, now))
    except _NotAsRead:
        return sum(_tell_one(key, now) for key in keys)


def _tell_one(key: UUID, now: dt.datetime) -> int:
    try:
        return run_in_transaction(lambda: _tell([key], now))
    except _NotAsRead:
        return 0


def _tell(keys: Sequence[UUID], now: dt.datetime) -> int:
    loans = list(due_soon_query(now).filter(pk__in=keys))
    mine = due_soon_query(now).order_by().filter(pk__in=keys)
    if len(loans) != len(keys) or mine.update(untold_due_at=None) != len(keys):
        raise _NotAsRead
    events = {loan.pk: _event(loan, now) for loan in loans}
    known = events_selectors.recorded_among([event_id_of(event.once or "") for event in events.values()])
    new = {key: [event] for key, event in events.items() if event_id_of(event.once or "") not in known}
    record_loan_events(new)
    return len(new)


def _event(loan: PartnerLoan, now: dt.datetime) -> LoanEvent:
    """A due date that a reorg moved is another one, and told anew."""
    installment = next(entry for entry in loan.schedule if entry["status"] != PAID)
    return LoanEvent(
        type=EventType.PAYMENT_DUE_SOON,
        moment=int(now.timestamp()),
        more={"installment": installment},
        once=f"{EventType.PAYMENT_DUE_SOON}:{loan.pk}:{installment['number']}:{isoformat(loan.untold_due_at)}",
    )
