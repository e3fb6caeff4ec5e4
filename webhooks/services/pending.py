"""Pending deliveries of an endpoint: failed all at once, or made due now."""

from uuid import UUID

from django.db.models import F

from partner_platform.core import clock
from partner_platform.core.database.transactions import on_commit
from webhooks.models import Delivery, DeliveryStatus, Endpoint
from webhooks.signals import deliveries_due


def fail_pending(endpoint_id: UUID, *, why: str) -> int:
    """In the caller's transaction: what waits for the endpoint is not sent any more; returns how many."""
    pending = Delivery.objects.filter(endpoint_id=endpoint_id, status=DeliveryStatus.PENDING)
    return pending.update(status=DeliveryStatus.FAILED, last_error=why[:300], finished_at=clock.now())


def wake(endpoint_id: UUID) -> None:
    """In the caller's transaction: the endpoint has something to send now; senders are told after the commit."""
    Endpoint.objects.filter(pk=endpoint_id).update(due_at=clock.now(), wakes=F("wakes") + 1)
    on_commit(lambda: deliveries_due.send_robust(sender=Endpoint, endpoint_id=endpoint_id))
