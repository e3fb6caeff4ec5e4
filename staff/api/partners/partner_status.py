"""Endpoints 12 and 13: suspend a partner, let it act again."""

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    OperationDoc,
    described,
)
from partner_platform.core.web.serializers import StrictCharField, StrictSerializer
from partners import selectors, services
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from partners.models import SuspensionScope
from staff.api.approvals import WAITING
from staff.api.common import PartnerIdPath, StaffViewSet, actor_of
from staff.api.partners.partner_object import CHANGED_EXAMPLE, PARTNER_EXAMPLE, ChangedPartner, present_changed
from webhooks.api.fields import NoBody

MAX_REASON = 200


class SuspendBody(StrictSerializer):
    """Why the partner is suspended, and from what."""

    scope = serializers.ChoiceField(
        choices=SuspensionScope.values,
        required=False,
        default=SuspensionScope.ALL,
        help_text="BORROWING: only its borrows are refused; it still reads and repays.",
    )

    reason = StrictCharField(
        max_length=MAX_REASON, required=False, allow_blank=True, default="", help_text="For staff and the audit trail."
    )


SUSPEND_PARTNER = OperationDoc(
    id="suspendPartner",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Refuse a partner's calls from now on",
    description="What was accepted before is settled. Suspended again, the partner gets the reason in addition. "
    "Right: `staff.suspend_partners`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=SuspendBody,
    is_body_required=False,
    body_examples={
        "plan": {},
        "withReason": {"reason": "Its keys were published."},
        "borrowing": {"scope": "BORROWING", "reason": "Its books are late."},
    },
    answers=(
        returned(
            "The partner is suspended",
            ChangedPartner,
            {
                "success": True,
                "partner": {
                    **PARTNER_EXAMPLE,
                    "status": "SUSPENDED",
                    "suspensionScope": "ALL",
                    "statusReason": "Its keys were published.",
                },
            },
        ),
    ),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)
ACTIVATE_PARTNER = OperationDoc(
    id="activatePartner",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Let a suspended or inactive partner act again",
    description="Right: `staff.activate_partners`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    answers=(returned("The partner is active", ChangedPartner, CHANGED_EXAMPLE), WAITING),
    errors=(ErrorCode.IDEMPOTENCY_KEY_IN_USE, ErrorCode.PARTNER_NOT_FOUND),
)


class PartnerStatusViewSet(StaffViewSet):
    """What a partner may do at all."""

    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, methods=["post"], required_right=Right.SUSPEND_PARTNERS)
    @described(SUSPEND_PARTNER)
    @idempotent(atomic=True)
    def suspend(self, request: Request, partner_id: str) -> Response:
        """Endpoint 12."""
        body = validated(SuspendBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        after = services.suspend_partner(partner=partner, actor=actor_of(request), **body)
        return Response(present_changed(after))

    @action(detail=True, methods=["post"], required_right=Right.ACTIVATE_PARTNERS)
    @described(ACTIVATE_PARTNER)
    @idempotent(atomic=True)
    def activate(self, request: Request, partner_id: str) -> Response:
        """Endpoint 13."""
        validated(NoBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        return Response(present_changed(services.activate_partner(partner=partner, actor=actor_of(request))))
