"""Pending deliveries of an endpoint: failed in batches where it is disabled or deleted, or made due now.

Who disables an endpoint writes its row alone: a backlog may be larger than one transaction holds. `Endpoint.due_at` of
a disabled endpoint says that something is left to fail, so whoever is killed, a sender goes on.
"""

import time
from uuid import UUID

from django.db.models import F

from partner_platform.core import clock
from partner_platform.core.database.transactions import on_commit, run_in_transaction
from webhooks import metrics
from webhooks.models import Delivery, DeliveryStatus, Endpoint, EndpointStatus
from webhooks.selectors import backlogs_query
from webhooks.signals import deliveries_due

DISABLED_BY_PARTNER = "You disabled it"
BATCH = 500  # deliveries that one transaction fails
BATCHES_AT_ONCE = 4  # by whoever disables the endpoint; a sender fails the rest


def fail_soon(endpoint_id: UUID) -> None:
    """In the transaction that disabled or deleted the endpoint: what waits for it is failed after the commit."""
    Endpoint.objects.filter(pk=endpoint_id).update(due_at=clock.now(), wakes=F("wakes") + 1)
    on_commit(lambda: _fail_first(endpoint_id))


def fail_pending(endpoint_id: UUID) -> int:
    """Fail a batch of what waits for a disabled endpoint, in a transaction; returns how many, `BATCH`: perhaps more.

    Nothing of an endpoint that is enabled.
    """
    return run_in_transaction(lambda: _fail_batch(endpoint_id))


def fail_backlogs(*, seconds: float) -> bool:
    """Fail what is left of disabled endpoints, for so long; returns whether there was anything."""
    deadline = time.monotonic() + seconds
    keys = list(backlogs_query()[:BATCH])
    for key in keys:
        while fail_pending(key) == BATCH and time.monotonic() < deadline:
            pass
        if time.monotonic() >= deadline:
            break
    return bool(keys)


def make_due_now(endpoint_id: UUID, *, ends_pause: bool = False) -> None:
    """In the caller's transaction: the endpoint has something to send now; senders are told after the commit.

    `ends_pause`: even where it is paused by its failures or a `Retry-After`. Its failures still count, so that one
    more pauses it again.
    """
    columns = {"resume_at": None, "updated_at": clock.now()} if ends_pause else {}
    Endpoint.objects.filter(pk=endpoint_id).update(due_at=clock.now(), wakes=F("wakes") + 1, **columns)
    on_commit(lambda: deliveries_due.send_robust(sender=Endpoint, endpoint_id=endpoint_id))


def _fail_first(endpoint_id: UUID) -> None:
    for _ in range(BATCHES_AT_ONCE):
        if fail_pending(endpoint_id) < BATCH:
            return
    deliveries_due.send_robust(sender=Endpoint, endpoint_id=endpoint_id)


def _fail_batch(endpoint_id: UUID) -> int:
    """The endpoint is written first: nobody enables it, or gives it a delivery, at the same moment."""
    disabled = Endpoint.objects.filter(pk=endpoint_id, status=EndpointStatus.DISABLED)
    if disabled.update(wakes=F("wakes") + 1) != 1:
        return 0
    endpoint = disabled.get()
    pending = Delivery.objects.filter(endpoint_id=endpoint_id, status=DeliveryStatus.PENDING)
    keys = sorted(pending.values_list("pk", flat=True)[:BATCH])
    failed = Delivery.objects.filter(pk__in=keys, status=DeliveryStatus.PENDING).update(
        status=DeliveryStatus.FAILED, last_error=_why(endpoint), finished_at=clock.now()
    )
    if len(keys) < BATCH:
        disabled.update(due_at=None)
    on_commit(lambda: metrics.deliveries.labels(outcome="failed").inc(failed))
    return len(keys)


def _why(endpoint: Endpoint) -> str:
    if endpoint.deleted_at is not None:
        return "The endpoint was deleted"
    if endpoint.disabled_reason in ("", DISABLED_BY_PARTNER):
        return "The endpoint was disabled"
    return endpoint.disabled_reason
