"""Reads of endpoints and deliveries. Another partner's is not found, as one that does not exist."""

import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from partner_platform.core.errors import ErrorCode, NotFound
from partner_platform.core.web.pagination import NEWEST_FIRST, Page, paginate
from partners.models import Partner
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint, EndpointStatus, FanOut

MOST_LEFT = 1_000  # endpoints that were disabled within the last seconds


def live_endpoints(partner: Partner) -> list[Endpoint]:
    """A partner's endpoints that are not deleted, oldest first."""
    return list(Endpoint.objects.filter(partner_id=partner.pk, deleted_at=None).order_by("created_at"))


def get_endpoint(*, partner: Partner, endpoint_id: object) -> Endpoint:
    """The partner's endpoint, or 404 `endpoint_not_found`; a deleted one is not found."""
    key = _uuid(endpoint_id)
    found = Endpoint.objects.filter(pk=key, partner_id=partner.pk, deleted_at=None).first() if key else None
    if found is None:
        raise NotFound(ErrorCode.ENDPOINT_NOT_FOUND, "Webhook endpoint not found")
    return found


def endpoint_of_terms(partner: Partner) -> Endpoint:
    """The endpoint that is the `webhookUrl` of the partner's terms, or 404 `endpoint_not_found`."""
    found = next((endpoint for endpoint in live_endpoints(partner) if endpoint.is_partners_url), None)
    if found is None:
        raise NotFound(ErrorCode.ENDPOINT_NOT_FOUND, "The partner has no webhookUrl")
    return found


def get_delivery(*, partner: Partner, delivery_id: object) -> Delivery:
    """The partner's delivery with its endpoint, which may be deleted, or 404 `delivery_not_found`."""
    key = _uuid(delivery_id)
    deliveries = Delivery.objects.select_related("endpoint")
    found = deliveries.filter(pk=key, partner_id=partner.pk).first() if key else None
    if found is None:
        raise NotFound(ErrorCode.DELIVERY_NOT_FOUND, "Delivery not found")
    return found


def attempts_of(delivery: Delivery) -> list[Attempt]:
    """The tries of a delivery, oldest first."""
    return list(Attempt.objects.filter(delivery_id=delivery.pk).order_by("created_at"))


@dataclass(frozen=True)
class DeliveryFilter:
    """Which of a partner's deliveries; None: all."""

    endpoint_id: uuid.UUID | None = None
    event_type: str | None = None
    status: str | None = None
    partner_loan_id: str | None = None

    def conditions(self) -> dict[str, object]:
        """The filters that were given, by column."""
        return {name: value for name, value in vars(self).items() if value is not None}


def list_deliveries(*, partner: Partner, chosen: DeliveryFilter, limit: int, cursor: str | None) -> Page:
    """A page of the partner's deliveries, newest first; they are not counted (`Page.total` is 0)."""
    return paginate(
        streams=[deliveries_query(partner=partner, chosen=chosen)],
        scope=f"deliveries:{partner.pk}:{sorted((name, str(value)) for name, value in chosen.conditions().items())}",
        limit=limit,
        offset=0,
        cursor=cursor,
        most_counted=0,
    )


def deliveries_query(*, partner: Partner, chosen: DeliveryFilter) -> QuerySet[Delivery]:
    """The list's query, for the index tests too."""
    rows = Delivery.objects.filter(partner_id=partner.pk, **chosen.conditions())
    return rows.order_by(*NEWEST_FIRST).prefetch_related("endpoint")


def fanned_out_until() -> int:
    """The highest number of the feed whose event has its deliveries."""
    state = FanOut.objects.first()
    return 0 if state is None else state.until


def backlogs_query() -> "QuerySet[Endpoint, uuid.UUID]":
    """The endpoints that are disabled or deleted and may have pending deliveries, which are sent no more."""
    left = Endpoint.objects.filter(status=EndpointStatus.DISABLED, due_at__isnull=False)
    return left.order_by("due_at").values_list("pk", flat=True)


def pending_query() -> QuerySet[Delivery]:
    """What is still to be delivered, without what is left of disabled endpoints."""
    pending = Delivery.objects.filter(status=DeliveryStatus.PENDING)
    left = list(backlogs_query()[:MOST_LEFT])
    return pending.exclude(endpoint_id__in=left) if left else pending


def newest_resends(endpoint: Endpoint, event_ids: list[uuid.UUID]) -> dict[uuid.UUID, Delivery]:
    """The newest delivery of each of these events to the endpoint, for those that have one."""
    rows = Delivery.objects.filter(endpoint_id=endpoint.pk, event_id__in=event_ids).order_by("resend")
    return {row.event_id: row for row in rows.only("pk", "event_id", "resend", "status")}


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
    except ValueError:
        return None
