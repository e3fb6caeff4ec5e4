"""A partner's secrets: what its webhooks are signed with, and what it signs its calls with."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Success, Timestamp
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    described,
)
from partners import credentials, selectors
from partners.api.common import returned, validated
from partners.api.credentials import SAVE_SECRET, GraceBody
from partners.idempotency.view import idempotent
from staff.api.common import PartnerIdPath, StaffViewSet, actor_of
from staff.api.partners.partners import SAVE_WEBHOOK_SECRET
from webhooks import selectors as webhook_selectors
from webhooks.api.fields import NoBody
from webhooks.services import endpoints


class RotatedSecret(serializers.Serializer):
    """Until when the former secret is valid."""

    success = Success()
    formerSecretValidUntil = Timestamp()
    warning = serializers.CharField()


class RotatedWebhookSecret(RotatedSecret):
    """A new webhook secret, shown once."""

    webhookSecret = serializers.CharField()


class RotatedSigningSecret(RotatedSecret):
    """A new signing secret, shown once."""

    signingSecret = serializers.CharField()


ROTATE_WEBHOOK_SECRET = OperationDoc(
    id="rotatePartnerWebhookSecret",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A new secret for the endpoint that is the partner's `webhookUrl`",
    description="The former one signs too for 24 hours. Shown once; with an `Idempotency-Key` the same call shows it "
    "again. Right: `staff.rotate_secrets`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    answers=(
        returned(
            "The new secret",
            RotatedWebhookSecret,
            {
                "success": True,
                "webhookSecret": "whsec_" + "…",
                "formerSecretValidUntil": "2026-01-06T10:30:00Z",
                "warning": SAVE_WEBHOOK_SECRET,
            },
        ),
    ),
    errors=(ErrorCode.IDEMPOTENCY_KEY_IN_USE, ErrorCode.PARTNER_NOT_FOUND, ErrorCode.ENDPOINT_NOT_FOUND),
)
ROTATE_PARTNERS_SIGNING_SECRET = OperationDoc(
    id="rotatePartnerSigningSecret",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A new secret for signing the partner's calls",
    description="Whether its calls must be signed stays as it is. Shown once; with an `Idempotency-Key` the same call "
    "shows it again. Right: `staff.rotate_secrets`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=GraceBody,
    is_body_required=False,
    body_examples={"atOnce": {}, "inADay": {"gracePeriodHours": 24}},
    answers=(
        returned(
            "The new secret",
            RotatedSigningSecret,
            {
                "success": True,
                "signingSecret": "sk_nlp_live_" + "…",
                "formerSecretValidUntil": "2026-01-06T10:30:00Z",
                "warning": SAVE_SECRET,
            },
        ),
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)


class PartnerSecretsViewSet(StaffViewSet):
    """A partner's secrets."""

    required_right = Right.ROTATE_SECRETS
    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, methods=["post"], url_path="rotate-webhook-secret")
    @described(ROTATE_WEBHOOK_SECRET)
    @idempotent(atomic=True, is_secret=True)
    def rotate_webhook_secret(self, request: Request, partner_id: str) -> Response:
        """For the endpoint of its terms."""
        validated(NoBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        endpoint = webhook_selectors.endpoint_of_terms(partner)
        after, secret = endpoints.rotate_secret(partner=partner, endpoint_id=endpoint.pk, actor=actor_of(request))
        return Response(
            {
                "success": True,
                "webhookSecret": secret,
                "formerSecretValidUntil": isoformat(after.previous_secret_until),
                "warning": SAVE_WEBHOOK_SECRET,
            }
        )

    @action(detail=True, methods=["post"], url_path="rotate-signing-secret")
    @described(ROTATE_PARTNERS_SIGNING_SECRET)
    @idempotent(atomic=True, is_secret=True)
    def rotate_signing_secret(self, request: Request, partner_id: str) -> Response:
        """For its calls."""
        hours = validated(GraceBody(data=request.data))["gracePeriodHours"]
        partner = selectors.get_partner(partner_id)
        secret = credentials.rotate_signing_secret(partner=partner, actor=actor_of(request), grace_hours=hours)
        until = selectors.get_partner(partner_id).previous_signing_secret_until or clock.now()
        return Response(
            {
                "success": True,
                "signingSecret": secret,
                "formerSecretValidUntil": isoformat(until),
                "warning": SAVE_SECRET,
            }
        )
