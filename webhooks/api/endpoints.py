"""A partner's webhook endpoints: create, list, read, change, delete. Changing them needs the scope `webhooks`."""

# ruff: noqa: N815 - the contract's names

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from events.kinds import EventType
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Link,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.serializers import OneOfField, StrictCharField, StrictSerializer
from partners.api.common import PartnerViewSet, audit_actor, partner_of, returned, validated
from partners.idempotency.view import idempotent
from partners.models import Scope
from webhooks import rules, selectors
from webhooks.api.fields import EndpointUrlField, EventTypesField
from webhooks.models import ALL_TYPES, Endpoint, EndpointStatus
from webhooks.services import endpoints

# Names of the service's arguments for those of the contract.
_ARGUMENTS = {"url": "url", "eventTypes": "event_types", "description": "description", "status": "status"}


class NewEndpointBody(StrictSerializer):
    """A new endpoint."""

    url = EndpointUrlField(help_text="https, on the public internet. One endpoint for a URL.")
    eventTypes = EventTypesField(required=False, default=[ALL_TYPES])
    description = StrictCharField(max_length=rules.MAX_DESCRIPTION, required=False, default="", allow_blank=True)


class EndpointBody(StrictSerializer):
    """What is to be changed; what is not named stays."""

    url = EndpointUrlField(required=False)
    eventTypes = EventTypesField(required=False)
    description = StrictCharField(max_length=rules.MAX_DESCRIPTION, required=False, allow_blank=True)
    status = OneOfField(choices=EndpointStatus.values, required=False)


class EndpointIdPath(serializers.Serializer):
    """An endpoint's id in a path: any text there that is no endpoint of the partner's is 404."""

    endpointId = serializers.UUIDField()


class EndpointState(serializers.Serializer):
    """An endpoint."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    eventTypes = serializers.ListField(
        child=serializers.ChoiceField(choices=[ALL_TYPES, *EventType.values]),
        help_text='`["*"]`: all, those that come later too.',
    )
    description = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=EndpointStatus.values)
    disabledReason = serializers.CharField(allow_null=True)
    failingSince = Timestamp(allow_null=True, help_text="Since when every try has failed.")
    resumeAt = Timestamp(
        allow_null=True,
        help_text="Until then nothing is sent: it fails, or asked for time. A test or a retry is sent at once.",
    )
    lastDeliveredAt = Timestamp(allow_null=True)
    previousSecretValidUntil = Timestamp(allow_null=True, help_text="Until then the former secret signs too.")
    createdAt = Timestamp()
    updatedAt = Timestamp()


class EndpointWithSecret(EndpointState):
    """An endpoint with its new secret, which is shown once."""

    secret = serializers.CharField(help_text="`whsec_` and base64; see docs/webhooks.md for verifying with it.")


class EndpointList(serializers.Serializer):
    """The endpoints, oldest first; a partner has at most 10."""

    webhooks = EndpointState(many=True)


EXAMPLE_ENDPOINT_ID = "3d4c1f9a-7b52-4f0e-8e61-5a2f9c7d1b08"
EXAMPLE_URL = "https://xyz-lending.com/api/webhooks/mantle-rwa"
NEW_EXAMPLE = {"url": EXAMPLE_URL, "eventTypes": ["*"], "description": "Loans, for accounting"}
ENDPOINT_EXAMPLE = {
    "id": EXAMPLE_ENDPOINT_ID,
    **NEW_EXAMPLE,
    "status": "ENABLED",
    "disabledReason": None,
    "failingSince": None,
    "resumeAt": None,
    "lastDeliveredAt": "2026-01-05T10:30:02Z",
    "previousSecretValidUntil": None,
    "createdAt": "2026-01-05T10:30:00Z",
    "updatedAt": "2026-01-05T10:30:00Z",
}
SECRET_EXAMPLE = {**ENDPOINT_EXAMPLE, "lastDeliveredAt": None, "secret": "whsec_" + "…"}

_LINKS = {
    "TheEndpoint": Link(operation="getWebhook", parameters={"endpointId": "$response.body#/id"}),
    "ItsTest": Link(operation="testWebhook", parameters={"endpointId": "$response.body#/id"}),
}
CREATE = OperationDoc(
    id="createWebhook",
    tag="Webhooks",
    summary="Have events sent to a URL",
    description="The secret that deliveries are signed with is in this answer and in no other; with an "
    "`Idempotency-Key` the same call shows it again.",
    headers=(headers.IDEMPOTENCY_KEY,),
    body=NewEndpointBody,
    body_examples={"everything": NEW_EXAMPLE, "defaults": {"url": EXAMPLE_URL, "eventTypes": ["loan.defaulted"]}},
    answers=(
        ResponseDoc(
            status=201, when="The endpoint, enabled", body=EndpointWithSecret, example=SECRET_EXAMPLE, links=_LINKS
        ),
    ),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.TOO_MANY_ENDPOINTS,
        ErrorCode.DUPLICATE_ENDPOINT,
        ErrorCode.QUEUE_UNAVAILABLE,
    ),
)
LIST = OperationDoc(
    id="listWebhooks",
    tag="Webhooks",
    summary="Your endpoints",
    answers=(returned("The endpoints", EndpointList, {"webhooks": [ENDPOINT_EXAMPLE]}),),
)
GET = OperationDoc(
    id="getWebhook",
    tag="Webhooks",
    summary="An endpoint",
    path=EndpointIdPath,
    answers=(returned("The endpoint", EndpointState, ENDPOINT_EXAMPLE),),
    errors=(ErrorCode.ENDPOINT_NOT_FOUND,),
)
UPDATE = OperationDoc(
    id="updateWebhook",
    tag="Webhooks",
    summary="Change an endpoint, disable it, or enable it again",
    description="Disabled, it keeps no backlog: what waits for it fails, and enabled again it gets new events; "
    "`resend` sends those of the time between.",
    path=EndpointIdPath,
    body=EndpointBody,
    is_body_required=False,
    body_examples={"types": {"eventTypes": ["loan.defaulted", "loan.liquidated"]}, "enable": {"status": "ENABLED"}},
    answers=(returned("The endpoint as it is now", EndpointState, ENDPOINT_EXAMPLE),),
    errors=(*BODY_ERRORS, ErrorCode.ENDPOINT_NOT_FOUND, ErrorCode.DUPLICATE_ENDPOINT, ErrorCode.QUEUE_UNAVAILABLE),
)
DELETE = OperationDoc(
    id="deleteWebhook",
    tag="Webhooks",
    summary="Delete an endpoint",
    description="What waits for it is not sent any more; its deliveries stay readable.",
    path=EndpointIdPath,
    answers=(ResponseDoc(status=204, when="It is deleted", body=None, example=None),),
    errors=(ErrorCode.ENDPOINT_NOT_FOUND, ErrorCode.QUEUE_UNAVAILABLE),
)


class EndpointsViewSet(PartnerViewSet):
    """The partner's endpoints."""

    write_scope = Scope.WEBHOOKS
    lookup_url_kwarg = "endpoint_id"
    lookup_value_regex = "[^/]+"

    @described(LIST)
    def list(self, request: Request) -> Response:
        """All of them."""
        rows = selectors.live_endpoints(partner_of(request))
        return Response({"webhooks": [present_endpoint(row) for row in rows]})

    @described(CREATE)
    @idempotent(atomic=True, is_secret=True)
    def create(self, request: Request) -> Response:
        """A new one, with its secret."""
        values = _arguments(validated(NewEndpointBody(data=request.data)))
        endpoint, secret = endpoints.create_endpoint(partner=partner_of(request), actor=audit_actor(request), **values)
        return Response({**present_endpoint(endpoint), "secret": secret}, status=201)

    @described(GET)
    def retrieve(self, request: Request, endpoint_id: str) -> Response:
        """One of them."""
        endpoint = selectors.get_endpoint(partner=partner_of(request), endpoint_id=endpoint_id)
        return Response(present_endpoint(endpoint))

    @described(UPDATE)
    def partial_update(self, request: Request, endpoint_id: str) -> Response:
        """Change one."""
        values = _arguments(validated(EndpointBody(data=request.data)))
        endpoint = endpoints.update_endpoint(
            partner=partner_of(request), endpoint_id=endpoint_id, actor=audit_actor(request), **values
        )
        return Response(present_endpoint(endpoint))

    @described(DELETE)
    def destroy(self, request: Request, endpoint_id: str) -> Response:
        """Delete one."""
        endpoints.delete_endpoint(partner=partner_of(request), endpoint_id=endpoint_id, actor=audit_actor(request))
        return Response(status=204)


def present_endpoint(endpoint: Endpoint) -> dict[str, object]:
    """The fields of `EndpointState`."""
    return {
        "id": str(endpoint.pk),
        "url": endpoint.url,
        "eventTypes": endpoint.event_types,
        "description": endpoint.description,
        "status": str(endpoint.status),
        "disabledReason": endpoint.disabled_reason or None,
        "failingSince": isoformat(endpoint.failing_since),
        "resumeAt": isoformat(paused_until(endpoint)),
        "lastDeliveredAt": isoformat(endpoint.delivered_at),
        "previousSecretValidUntil": isoformat(endpoint.previous_secret_until),
        "createdAt": isoformat(endpoint.created_at),
        "updatedAt": isoformat(endpoint.updated_at),
    }


def paused_until(endpoint: Endpoint) -> dt.datetime | None:
    """Until when nothing is sent to it; None where it is not paused."""
    resume_at: dt.datetime | None = endpoint.resume_at
    return resume_at if resume_at is not None and resume_at > clock.now() else None


def _arguments(data: Mapping[str, object]) -> dict[str, Any]:
    return {_ARGUMENTS[name]: value for name, value in data.items()}
