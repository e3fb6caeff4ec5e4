"""Endpoint 9: open a partner."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.fields import Success
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    Link,
    OperationDoc,
    ResponseDoc,
    described,
)
from partners import services, terms
from partners.api.common import validated
from partners.idempotency.view import idempotent
from partners.keys import SAVE_KEY
from partners.models import PartnerStatus, PartnerTier
from partners.onboarding.models import OnboardingStage
from partners.services import Opened
from staff.api.approvals import WAITING
from staff.api.common import EXAMPLE_PARTNER_ID, StaffViewSet, actor_of
from staff.api.partners.clashes import again_after_clash
from staff.api.partners.term_fields import NewPartnerBody


class OpenedPartner(serializers.Serializer):
    """What a new partner is called, and its state."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()
    status = serializers.ChoiceField(choices=PartnerStatus.values)
    tier = serializers.ChoiceField(choices=PartnerTier.values)
    stage = serializers.ChoiceField(
        choices=OnboardingStage.values, required=False, help_text="Of its onboarding, where that is required."
    )


class PartnerCreated(serializers.Serializer):
    """A new partner and its secrets, which are shown once."""

    success = Success()
    partner = OpenedPartner()
    apiKey = serializers.CharField(allow_null=True, help_text="null: onboarding is required first.")
    webhookSecret = serializers.CharField(required=False, help_text="Where a `webhookUrl` was given.")
    warning = serializers.CharField()


CREATE_PARTNER = OperationDoc(
    id="createPartner",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Open a partner",
    description="Its API key is in this answer and in no other, and with a `webhookUrl` the secret that webhooks are "
    "signed with; with an `Idempotency-Key` the same call shows them again. Right: `staff.create_partners`.",
    headers=(headers.IDEMPOTENCY_KEY,),
    body=NewPartnerBody,
    body_examples={
        "plan": {
            "partnerName": "New Lending Platform",
            "apiKeyPrefix": "nlp",
            "tier": "BASIC",
            "dailyBorrowLimit": "50000000000",
            "totalBorrowLimit": "200000000000",
            "platformFeePercentage": 75,
            "settlementAddress": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
            "contactEmail": "api@newplatform.com",
            "webhookUrl": "https://newplatform.com/webhooks",
        }
    },
    answers=(
        ResponseDoc(
            status=201,
            when="The partner is open",
            body=PartnerCreated,
            example={
                "success": True,
                "partner": {
                    "partnerId": EXAMPLE_PARTNER_ID,
                    "partnerName": "New Lending Platform",
                    "status": "ACTIVE",
                    "tier": "BASIC",
                },
                "apiKey": "pk_nlp_live_" + "…",
                "webhookSecret": "whsec_" + "…",
                "warning": SAVE_KEY,
            },
            links={
                "ThePartner": Link(
                    operation="getPartner", parameters={"partnerId": "$response.body#/partner/partnerId"}
                )
            },
        ),
        WAITING,
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS),
)


class NewPartnerViewSet(StaffViewSet):
    """Opening partners; registered before the partners by id, of which `create` is none."""

    @action(detail=False, methods=["post"], url_path="create", required_right=Right.CREATE_PARTNERS)
    @described(CREATE_PARTNER)
    @again_after_clash
    @idempotent(atomic=True, is_secret=True)
    def open(self, request: Request) -> Response:
        """Endpoint 9."""
        values: dict[str, Any] = terms.from_api(validated(NewPartnerBody(data=request.data)))
        opened = services.create_partner(actor=actor_of(request), **values)
        return Response(present_opened(opened), status=201)


def present_opened(opened: Opened) -> dict[str, object]:
    """The fields of `PartnerCreated`."""
    partner = opened.partner
    return {
        "success": True,
        "partner": {
            "partnerId": partner.partner_id,
            "partnerName": partner.partner_name,
            "status": partner.status,
            "tier": partner.tier,
            **({"stage": opened.stage} if opened.api_key is None else {}),
        },
        "apiKey": opened.api_key,
        **({} if opened.webhook_secret is None else {"webhookSecret": opened.webhook_secret}),
        "warning": opened.warning,
    }
