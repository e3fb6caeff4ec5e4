"""What is done with an endpoint beside changing it: a test event, a new secret, events once more. Scope `webhooks`."""

# ruff: noqa: N815 - the contract's names

import datetime as dt

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Count
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.serializers import StrictCharField, StrictSerializer
from partners.api.common import PartnerViewSet, audit_actor, partner_of, returned, validated
from partners.idempotency.view import idempotent
from partners.models import Scope
from webhooks.api import feed_cursor
from webhooks.api.endpoints import SECRET_EXAMPLE, EndpointIdPath, EndpointWithSecret, present_endpoint
from webhooks.api.feed import FEED_EXAMPLE
from webhooks.api.fields import MomentField, NoBody
from webhooks.services import deliveries, endpoints

RESEND_DAYS = 90  # as far back as the feed
_SINCE_WHEN = f"Must be within the last {RESEND_DAYS} days and not in the future."


class ResendBody(StrictSerializer):
    """From where on events are sent again: one of the two."""

    since = MomentField(required=False, help_text=f"At most {RESEND_DAYS} days ago.")
    after = StrictCharField(
        max_length=feed_cursor.MAX_CURSOR,
        required=False,
        help_text="The `next` of the call before, or of a page of the feed.",
    )

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        """Raise where both are given, or neither."""
        if len(attrs) != 1:
            raise serializers.ValidationError({"since": "Give since or after: one of the two."})
        return attrs

    def validate_since(self, since: dt.datetime) -> dt.datetime:
        """Raise where the feed does not reach back so far."""
        now = clock.now()
        if not now - dt.timedelta(days=RESEND_DAYS) <= since <= now:
            raise serializers.ValidationError(_SINCE_WHEN)
        return since


class TestSent(serializers.Serializer):
    """A test event that will be delivered."""

    __test__ = False  # no test of pytest's

    eventId = serializers.UUIDField(help_text="The `id` of the event and the `webhook-id` of its delivery.")


class ResendScheduled(serializers.Serializer):
    """How many events will be delivered again."""

    scheduled = Count()
    next = serializers.CharField(
        allow_null=True,
        help_text=f"The `after` for those that are left: a call takes {deliveries.MAX_RESENT:,} events. Null: none is.",
    )


_EVENT_ID = "0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55"
TEST = OperationDoc(
    id="testWebhook",
    tag="Webhooks",
    summary="Send a `webhook.test` event to an endpoint",
    description="It is delivered like every other event, to this endpoint alone, whatever types it asks for, and "
    "though the endpoint is paused (`resumeAt`).",
    path=EndpointIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    answers=(ResponseDoc(status=202, when="It will be sent", body=TestSent, example={"eventId": _EVENT_ID}),),
    errors=(
        ErrorCode.IDEMPOTENCY_KEY_IN_USE,
        ErrorCode.ENDPOINT_NOT_FOUND,
        ErrorCode.ENDPOINT_DISABLED,
        ErrorCode.QUEUE_UNAVAILABLE,
    ),
)
ROTATE = OperationDoc(
    id="rotateWebhookSecret",
    tag="Webhooks",
    summary="A new secret for an endpoint",
    description="The former secret signs too for 24 hours: a delivery then has two signatures. The new one is in this "
    "answer and in no other; with an `Idempotency-Key` the same call shows it again.",
    path=EndpointIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    answers=(
        returned(
            "The endpoint with its new secret",
            EndpointWithSecret,
            {**SECRET_EXAMPLE, "previousSecretValidUntil": "2026-01-06T10:30:00Z"},
        ),
    ),
    errors=(ErrorCode.IDEMPOTENCY_KEY_IN_USE, ErrorCode.ENDPOINT_NOT_FOUND, ErrorCode.QUEUE_UNAVAILABLE),
)
RESEND = OperationDoc(
    id="resendWebhook",
    tag="Webhooks",
    summary="Deliver the events since a moment again",
    description="Those that the endpoint asks for, in the feed's order, whether they were delivered or not; a receiver "
    "knows them by their `id`. `webhook.test` events are left out. Where `next` is not null, call again with it "
    "as `after`.",
    path=EndpointIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=ResendBody,
    body_examples={"since": {"since": "2026-01-05T10:30:00Z"}, "after": {"after": FEED_EXAMPLE["next"]}},
    answers=(
        ResponseDoc(
            status=202,
            when="They will be sent",
            body=ResendScheduled,
            example={"scheduled": 1000, "next": FEED_EXAMPLE["next"]},
        ),
    ),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.ENDPOINT_NOT_FOUND,
        ErrorCode.ENDPOINT_DISABLED,
        ErrorCode.CURSOR_EXPIRED,
        ErrorCode.QUEUE_UNAVAILABLE,
    ),
)


class EndpointActsViewSet(PartnerViewSet):
    """Acts on one of the partner's endpoints."""

    required_scope = Scope.WEBHOOKS
    lookup_url_kwarg = "endpoint_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, methods=["post"])
    @described(TEST)
    @idempotent(atomic=True)
    def test(self, request: Request, endpoint_id: str) -> Response:
        """Record a test event."""
        validated(NoBody(data=request.data))
        event = endpoints.send_test_event(partner=partner_of(request), endpoint_id=endpoint_id)
        return Response({"eventId": str(event.pk)}, status=202)

    @action(detail=True, methods=["post"], url_path="rotate-secret")
    @described(ROTATE)
    @idempotent(atomic=True, is_secret=True)
    def rotate_secret(self, request: Request, endpoint_id: str) -> Response:
        """A new secret."""
        validated(NoBody(data=request.data))
        endpoint, secret = endpoints.rotate_secret(
            partner=partner_of(request), endpoint_id=endpoint_id, actor=audit_actor(request)
        )
        return Response({**present_endpoint(endpoint), "secret": secret})

    @action(detail=True, methods=["post"])
    @described(RESEND)
    @idempotent(atomic=True)
    def resend(self, request: Request, endpoint_id: str) -> Response:
        """Schedule events once more."""
        partner, asked = partner_of(request), validated(ResendBody(data=request.data))
        after = feed_cursor.number_in(asked["after"], partner.pk) if "after" in asked else None
        resent = deliveries.resend_events(
            partner=partner,
            endpoint_id=endpoint_id,
            since=asked.get("since"),
            after=after,
            actor=audit_actor(request),
        )
        following = None if resent.next is None else feed_cursor.cursor_after(resent.next, partner.pk)
        return Response({"scheduled": resent.scheduled, "next": following}, status=202)
