"""Deletes by age: events (`EVENTS_KEEP_DAYS`), deliveries that ended (`WEBHOOK_DELIVERIES_KEEP_DAYS`), and attempts
(`WEBHOOK_ATTEMPTS_KEEP_DAYS`).

What is still to be delivered is never deleted, however old: no delivery that is PENDING, and no event from the first
one on that has such a delivery, or that the fan-out has not read. Everything goes in batches, oldest first; a run that
is killed has deleted whole batches, and the next run goes on.
"""

import datetime as dt
from dataclasses import dataclass
from time import sleep
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from events.retention import delete_old_events
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from webhooks import selectors
from webhooks.models import Attempt, Delivery, DeliveryStatus, FanOut

ENDED = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)
DELIVERIES_A_BATCH = 200  # with their attempts, in one transaction
ATTEMPTS_A_BATCH = 500
BATCHES_A_RUN = 400
PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Deleted:
    """What one run deleted."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0


def delete_old() -> Deleted:
    """Delete what is older than the settings say; a bounded number of batches of each."""
    return Deleted(
        events=delete_old_events(before=_days_ago(settings.EVENTS_KEEP_DAYS), until=_delivered_until()),
        deliveries=sum(
            _delete_deliveries(status, _days_ago(settings.WEBHOOK_DELIVERIES_KEEP_DAYS)) for status in ENDED
        ),
        attempts=_delete_attempts(_days_ago(settings.WEBHOOK_ATTEMPTS_KEEP_DAYS)),
    )


def undelivered_query() -> "QuerySet[Delivery, int]":
    """The numbers of events with a delivery to come, the lowest first; for the index tests too."""
    return selectors.pending_query().order_by("number").values_list("number", flat=True)


def ended_query(status: DeliveryStatus, before: dt.datetime) -> "QuerySet[Delivery, UUID]":
    """The deliveries of a final status from before this time, oldest first; for the index tests too."""
    old = Delivery.objects.filter(status=status, created_at__lt=before)
    return old.order_by("created_at").values_list("pk", flat=True)


def attempts_query(before: dt.datetime) -> "QuerySet[Attempt, UUID]":
    """The attempts from before this time, oldest first; for the index tests too."""
    return Attempt.objects.filter(created_at__lt=before).order_by("created_at").values_list("pk", flat=True)


def _days_ago(days: int) -> dt.datetime:
    return clock.now() - dt.timedelta(days=days)


def _delivered_until() -> int:
    """The number up to which no event has anything to come."""
    fanned_out = FanOut.objects.values_list("until", flat=True).first() or 0  # read first: a delivery may come of it
    pending = undelivered_query().first()
    return fanned_out if pending is None else min(fanned_out, pending - 1)


def _delete_deliveries(status: DeliveryStatus, before: dt.datetime) -> int:
    deleted = 0
    for _ in range(BATCHES_A_RUN):
        ids = list(ended_query(status, before)[:DELIVERIES_A_BATCH])
        if not ids or not run_in_transaction(lambda ids=ids: _delete_batch(ids, status)):  # type: ignore[misc]
            break
        deleted += len(ids)
        sleep(PAUSE_SECONDS)
    return deleted


def _delete_batch(ids: list[UUID], status: DeliveryStatus) -> bool:
    """Delete these with their attempts; False, and nothing deleted, where one of them is no longer of this status.

    The update holds the rows: a retry that makes one PENDING comes before it, or finds no delivery.
    """
    if Delivery.objects.filter(pk__in=ids, status=status).update(status=status) < len(ids):
        return False
    Attempt.objects.filter(delivery_id__in=ids).delete()
    Delivery.objects.filter(pk__in=ids).delete()
    return True


def _delete_attempts(before: dt.datetime) -> int:
    deleted = 0
    for _ in range(BATCHES_A_RUN):
        ids = list(attempts_query(before)[:ATTEMPTS_A_BATCH])
        if not ids:
            break
        deleted += Attempt.objects.filter(pk__in=ids).delete()[0]
        sleep(PAUSE_SECONDS)
    return deleted
