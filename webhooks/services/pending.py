"""Pending deliveries of an endpoint: failed all at once, or made due now."""

from uuid import UUID

from django.db.models import F

from partner_platform.core import clock
from partner_platform.core.database.transactions import on_commit
from webhooks import metrics
from webhooks.models import Delivery, DeliveryStatus, Endpoint
from webhooks.signals import deliveries_due


def fail_pending(endpoint_id: UUID, *, why: str) -> int:
    """In the caller's transaction: what waits for the endpoint is not sent any more; returns how many."""
    pending = Delivery.objects.filter(endpoint_id=endpoint_id, status=DeliveryStatus.PENDING)
    failed = pending.update(status=DeliveryStatus.FAILED, last_error=why[:300], finished_at=clock.now())
    on_commit(lambda: metrics.deliveries.labels(outcome="failed").inc(failed))
    return failed


def make_due_now(endpoint_id: UUID, *, ends_pause: bool = False) -> None:
    """In the caller's transaction: the endpoint has something to send now; senders are told after the commit.

    `ends_pause`: even where it is paused by its failures or a `Retry-After`. Its failures still count, so that one
    more pauses it again.
    """
    columns = {"resume_at": None} if ends_pause else {}
    Endpoint.objects.filter(pk=endpoint_id).update(due_at=clock.now(), wakes=F("wakes") + 1, **columns)
    on_commit(lambda: deliveries_due.send_robust(sender=Endpoint, endpoint_id=endpoint_id))
