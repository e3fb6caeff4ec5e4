"""Deliveries of events to a partner's endpoints: list, read with every attempt, retry."""

# ruff: noqa: N815 - the contract's names

import datetime as dt

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events import selectors as event_selectors
from events.kinds import EventType
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import AnyObject, Count, Timestamp
from partner_platform.core.openapi.operations import Link, OperationDoc, ResponseDoc, described
from partner_platform.core.web.pagination import MAX_CURSOR
from partner_platform.core.web.serializers import DigitsField, LoanIdField, OneOfField
from partners.api.common import PartnerViewSet, audit_actor, partner_of, returned, validated
from partners.idempotency.view import idempotent
from partners.models import Scope
from webhooks import selectors
from webhooks.api.endpoints import EXAMPLE_ENDPOINT_ID, EXAMPLE_URL
from webhooks.api.fields import NoBody
from webhooks.models import Attempt, Delivery, DeliveryStatus
from webhooks.selectors import DeliveryFilter
from webhooks.services import deliveries


class DeliveriesQuery(serializers.Serializer):
    """Which deliveries, and which page of them."""

    endpointId = serializers.UUIDField(required=False, default=None)
    eventType = OneOfField(choices=EventType.values, required=False, default=None)
    status = OneOfField(choices=DeliveryStatus.values, required=False, default=None)
    partnerLoanId = LoanIdField(required=False, default=None)
    limit = DigitsField(min_value=1, max_value=100, required=False, default=10, help_text="Rows on the page.")
    cursor = serializers.CharField(
        max_length=MAX_CURSOR,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `next` of the page before.",
    )


class DeliveryIdPath(serializers.Serializer):
    """A delivery's id in a path: any text there that is no delivery of the partner's is 404."""

    deliveryId = serializers.UUIDField()


class DeliveryState(serializers.Serializer):
    """A delivery of an event to an endpoint."""

    id = serializers.UUIDField()
    endpointId = serializers.UUIDField()
    eventId = serializers.UUIDField()
    eventType = serializers.ChoiceField(choices=EventType.values)
    partnerLoanId = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=DeliveryStatus.values)
    attempts = Count(help_text="How often it was tried.")
    resend = Count(help_text="0: the first delivery of the event to the endpoint; else which repetition it is.")
    lastStatusCode = Count(allow_null=True, help_text="Of the newest response; null where none came.")
    lastError = serializers.CharField(allow_null=True)
    nextAttemptAt = Timestamp(
        allow_null=True,
        help_text="While it is PENDING: not before this; the end of the endpoint's pause where that is later.",
    )
    createdAt = Timestamp()
    finishedAt = Timestamp(allow_null=True, help_text="When it was delivered or given up.")


class DeliveryPage(serializers.Serializer):
    """A page of deliveries, newest first."""

    deliveries = DeliveryState(many=True)
    limit = Count()
    hasMore = serializers.BooleanField(help_text="Whether rows follow this page.")
    next = serializers.CharField(allow_null=True, help_text="For `?cursor=`; null on the last page.")


class AttemptRequest(serializers.Serializer):
    """A request as it was sent."""

    url = serializers.CharField()
    headers = AnyObject(help_text="With the signatures.")
    body = serializers.CharField(allow_null=True, help_text="Byte for byte; null where the event was deleted by age.")


class AttemptResponse(serializers.Serializer):
    """What the receiver answered."""

    statusCode = Count()
    headers = AnyObject()
    body = serializers.CharField(allow_blank=True, help_text="Its beginning.")


class AttemptState(serializers.Serializer):
    """One try."""

    number = Count()
    at = Timestamp(help_text="When it began.")
    durationMs = Count()
    error = serializers.CharField(allow_null=True, help_text="Why it counts as failed.")
    request = AttemptRequest()
    response = AttemptResponse(allow_null=True, help_text="Null where none came.")


class DeliveryWithAttempts(DeliveryState):
    """A delivery with all that was sent and came back."""

    tries = AttemptState(many=True, help_text="Oldest first.")


_DELIVERY_ID = "9e2b7c54-0f6d-4c1a-b3e8-71d5a0c4f296"
DELIVERY_EXAMPLE = {
    "id": _DELIVERY_ID,
    "endpointId": EXAMPLE_ENDPOINT_ID,
    "eventId": "0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55",
    "eventType": "loan.borrowed",
    "partnerLoanId": "xyz_loan_12345",
    "status": "PENDING",
    "attempts": 1,
    "resend": 0,
    "lastStatusCode": 503,
    "lastError": "The receiver answered 503",
    "nextAttemptAt": "2026-01-05T10:30:07Z",
    "createdAt": "2026-01-05T10:30:00Z",
    "finishedAt": None,
}
_ATTEMPT_EXAMPLE = {
    "number": 1,
    "at": "2026-01-05T10:30:01Z",
    "durationMs": 84,
    "error": "The receiver answered 503",
    "request": {
        "url": EXAMPLE_URL,
        "headers": {"webhook-id": "0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55", "X-Webhook-Event": "loan.borrowed"},
        "body": '{"id":"0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55","type":"loan.borrowed"}',
    },
    "response": {"statusCode": 503, "headers": {"content-type": "text/plain"}, "body": "try later"},
}

_THE_DELIVERY = {"deliveryId": "$response.body#/id"}
LIST = OperationDoc(
    id="listDeliveries",
    tag="Webhooks",
    summary="Deliveries to your endpoints, newest first",
    query=DeliveriesQuery,
    answers=(
        returned(
            "A page of deliveries",
            DeliveryPage,
            {"deliveries": [DELIVERY_EXAMPLE], "limit": 10, "hasMore": False, "next": None},
            links={"NextPage": Link(operation="listDeliveries", parameters={"cursor": "$response.body#/next"})},
        ),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)
GET = OperationDoc(
    id="getDelivery",
    tag="Webhooks",
    summary="A delivery with every attempt: request and response as sent",
    path=DeliveryIdPath,
    answers=(
        returned(
            "The delivery",
            DeliveryWithAttempts,
            {**DELIVERY_EXAMPLE, "tries": [_ATTEMPT_EXAMPLE]},
            links={"ItsRetry": Link(operation="retryDelivery", parameters=_THE_DELIVERY)},
        ),
    ),
    errors=(ErrorCode.DELIVERY_NOT_FOUND,),
)
RETRY = OperationDoc(
    id="retryDelivery",
    tag="Webhooks",
    summary="Deliver now",
    description="A pending delivery is tried at once, with those of its loan that it waits for; one that ended, "
    "delivered or not, is made anew. It is sent though the endpoint is paused (`resumeAt`), and takes no step "
    "of the schedule.",
    path=DeliveryIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    answers=(
        ResponseDoc(
            status=202,
            when="The delivery that will be sent",
            body=DeliveryState,
            example={**DELIVERY_EXAMPLE, "attempts": 0, "resend": 1, "lastStatusCode": None, "lastError": None},
            links={"TheDelivery": Link(operation="getDelivery", parameters=_THE_DELIVERY)},
        ),
    ),
    errors=(
        ErrorCode.IDEMPOTENCY_KEY_IN_USE,
        ErrorCode.DELIVERY_NOT_FOUND,
        ErrorCode.ENDPOINT_NOT_FOUND,
        ErrorCode.ENDPOINT_DISABLED,
        ErrorCode.EVENT_EXPIRED,
        ErrorCode.QUEUE_UNAVAILABLE,
    ),
)


class DeliveriesViewSet(PartnerViewSet):
    """The partner's deliveries."""

    write_scope = Scope.WEBHOOKS
    lookup_url_kwarg = "delivery_id"
    lookup_value_regex = "[^/]+"

    @described(LIST)
    def list(self, request: Request) -> Response:
        """A page of them."""
        query = validated(DeliveriesQuery(data=request.query_params.dict()))
        chosen = DeliveryFilter(
            endpoint_id=query["endpointId"],
            event_type=query["eventType"],
            status=query["status"],
            partner_loan_id=query["partnerLoanId"],
        )
        page = selectors.list_deliveries(
            partner=partner_of(request), chosen=chosen, limit=query["limit"], cursor=query["cursor"]
        )
        rows = [present_delivery(row) for row in page.rows]
        return Response({"deliveries": rows, "limit": query["limit"], "hasMore": page.has_more, "next": page.next})

    @described(GET)
    def retrieve(self, request: Request, delivery_id: str) -> Response:
        """One of them, with its attempts."""
        delivery = selectors.get_delivery(partner=partner_of(request), delivery_id=delivery_id)
        event = event_selectors.event_by_id(delivery.event_id)
        body = None if event is None else event.body
        tries = [present_attempt(attempt, body) for attempt in selectors.attempts_of(delivery)]
        return Response({**present_delivery(delivery), "tries": tries})

    @action(detail=True, methods=["post"])
    @described(RETRY)
    @idempotent(atomic=True)
    def retry(self, request: Request, delivery_id: str) -> Response:
        """Deliver it now, or once more."""
        validated(NoBody(data=request.data))
        delivery = deliveries.retry_delivery(
            partner=partner_of(request), delivery_id=delivery_id, actor=audit_actor(request)
        )
        return Response(present_delivery(delivery), status=202)


def present_delivery(delivery: Delivery) -> dict[str, object]:
    """The fields of `DeliveryState`."""
    return {
        "id": str(delivery.pk),
        "endpointId": str(delivery.endpoint_id),
        "eventId": str(delivery.event_id),
        "eventType": delivery.event_type,
        "partnerLoanId": delivery.partner_loan_id or None,
        "status": str(delivery.status),
        "attempts": delivery.attempts,
        "resend": delivery.resend,
        "lastStatusCode": delivery.last_status_code,
        "lastError": delivery.last_error or None,
        "nextAttemptAt": isoformat(_next_attempt_at(delivery)),
        "createdAt": isoformat(delivery.created_at),
        "finishedAt": isoformat(delivery.finished_at),
    }


def _next_attempt_at(delivery: Delivery) -> dt.datetime | None:
    if delivery.status != DeliveryStatus.PENDING:
        return None
    return max(delivery.due_at, delivery.endpoint.resume_at or delivery.due_at)


def present_attempt(attempt: Attempt, body: str | None) -> dict[str, object]:
    """The fields of `AttemptState`."""
    response = None
    if attempt.status_code is not None:
        response = {
            "statusCode": attempt.status_code,
            "headers": attempt.response_headers,
            "body": attempt.response_body,
        }
    return {
        "number": attempt.number,
        "at": isoformat(attempt.created_at),
        "durationMs": attempt.duration_ms,
        "error": attempt.error or None,
        "request": {"url": attempt.url, "headers": attempt.request_headers, "body": body},
        "response": response,
    }
