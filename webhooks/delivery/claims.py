"""Claims: which sender works an endpoint. An endpoint is claimed by one guarded update and works for one sender.

A claim ends by itself `CLAIM_SECONDS` after it was made or renewed, so a killed sender's endpoints are taken over. A
sender begins no post later than `SENDING_SECONDS` after that moment, so its last post has ended by then.
"""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from django.db.models import F, Q, QuerySet

from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from webhooks.models import Delivery, DeliveryStatus, Endpoint, EndpointStatus

CLAIM_SECONDS = 60.0
RENEW_SECONDS = 15.0
SENDING_SECONDS = 40.0  # a post takes 15 seconds at most


def claim_due(token: str, *, healthy: int, failing: int) -> list[Endpoint]:
    """Claim endpoints that have something due: at most so many that work and so many that fail, the longest due first.

    An endpoint whose breaker is open is not due before `resume_at`.
    """
    now = clock.now()
    free = _due(now)
    keys: list[UUID] = []
    for rows, limit in ((free.filter(failures_in_a_row=0), healthy), (free.filter(failures_in_a_row__gt=0), failing)):
        if limit > 0:
            keys += rows.order_by("due_at", "pk").values_list("pk", flat=True)[:limit]
    if not keys:
        return []
    until = now + dt.timedelta(seconds=CLAIM_SECONDS)
    run_in_transaction(lambda: free.filter(pk__in=sorted(keys)).update(claimed_by=token, claimed_until=until))
    return list(Endpoint.objects.filter(pk__in=keys, claimed_by=token))


def next_due() -> dt.datetime | None:
    """When an endpoint that nobody has claimed is due next; None where none will be. It may be in the past."""
    now = clock.now()
    enabled = Endpoint.objects.filter(status=EndpointStatus.ENABLED, deleted_at=None, due_at__isnull=False)
    open_again = enabled.filter(resume_at__gt=now).order_by("resume_at").first()
    waiting = enabled.filter(_nobodys(now), _is_open(now)).order_by("due_at").first()
    moments = [open_again.resume_at if open_again else None, waiting.due_at if waiting else None]
    return min((moment for moment in moments if moment is not None), default=None)


def renew(token: str) -> None:
    """The sender's claims last their whole time again, from now on."""
    until = clock.now() + dt.timedelta(seconds=CLAIM_SECONDS)
    run_in_transaction(lambda: Endpoint.objects.filter(claimed_by=token).update(claimed_until=until))


def claimed_rows(token: str, keys: Iterable[UUID]) -> dict[UUID, Endpoint]:
    """The endpoints among these that the sender still has and may send to, as they are now."""
    rows = Endpoint.objects.filter(pk__in=sorted(keys), claimed_by=token, status=EndpointStatus.ENABLED)
    return {endpoint.pk: endpoint for endpoint in rows.filter(deleted_at=None)}


def end_claim(token: str, endpoint: Endpoint) -> bool:
    """End a claim; whether that was done. Not where somebody wrote `due_at` since `endpoint` was read."""
    pending = Delivery.objects.filter(endpoint_id=endpoint.pk, status=DeliveryStatus.PENDING)
    first = pending.order_by("due_at").values_list("due_at", flat=True).first()
    ours = Endpoint.objects.filter(pk=endpoint.pk, claimed_by=token, wakes=endpoint.wakes)
    return ours.update(due_at=first, claimed_by="", claimed_until=None) == 1


def let_go(token: str, keys: Iterable[UUID]) -> None:
    """End these claims of a sender that stops; what it had not stored is due.

    Not those of endpoints that a post is under way to: another sender would overtake it. They end by themselves.
    """
    ours = Endpoint.objects.filter(pk__in=sorted(keys), claimed_by=token)
    now = clock.now()
    run_in_transaction(lambda: ours.update(due_at=now, wakes=F("wakes") + 1, claimed_by="", claimed_until=None))


def _due(now: dt.datetime) -> QuerySet[Endpoint]:
    rows = Endpoint.objects.filter(status=EndpointStatus.ENABLED, deleted_at=None, due_at__lte=now)
    return rows.filter(_nobodys(now), _is_open(now))


def _nobodys(now: dt.datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=now)


def _is_open(now: dt.datetime) -> Q:
    """Its breaker, and what it asked for with `Retry-After`."""
    return Q(resume_at=None) | Q(resume_at__lte=now)
