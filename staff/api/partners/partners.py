"""Partners: list (endpoint 14), read, change their terms (endpoint 11)."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Caller,
    Link,
    OperationDoc,
    described,
)
from partner_platform.core.web.serializers import OneOfField
from partners import selectors, services, terms
from partners.api.common import returned, validated
from partners.idempotency.view import idempotent
from partners.models import PartnerStatus, PartnerTier
from partners.selectors import PartnerSelection
from staff.api.approvals import WAITING
from staff.api.common import PartnerIdPath, StaffViewSet, actor_of
from staff.api.partners.clashes import again_after_clash
from staff.api.partners.partner_object import (
    CHANGED_EXAMPLE,
    PARTNER_EXAMPLE,
    ChangedPartner,
    StaffPartner,
    present_changed,
    present_partner,
)
from staff.api.partners.term_fields import TermsBody

SAVE_WEBHOOK_SECRET = "Save this webhook secret securely. It will not be shown again!"  # noqa: S105 - a sentence


class PartnersQuery(PageQuery):
    """`GET /admin/partners`."""

    status = OneOfField(choices=PartnerStatus.choices, required=False, default=None)
    tier = OneOfField(choices=PartnerTier.choices, required=False, default=None)


class StaffPartnerPage(PageFields):
    """Partners, newest first."""

    partners = StaffPartner(many=True)


class UpdatedPartner(ChangedPartner):
    """A partner after its terms were changed."""

    webhookSecret = serializers.CharField(
        required=False, help_text="Where a first `webhookUrl` was given: what webhooks to it are signed with, once."
    )
    warning = serializers.CharField(required=False)


LIST_PARTNERS = OperationDoc(
    id="listPartners",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="All partners, newest first",
    description="Right: `staff.view_partners`.",
    query=PartnersQuery,
    answers=(
        returned(
            "A page of partners",
            StaffPartnerPage,
            {**PAGE_EXAMPLE, "partners": [PARTNER_EXAMPLE]},
            links={"NextPage": Link(operation="listPartners", parameters={"cursor": "$response.body#/next"})},
        ),
    ),
)
GET_PARTNER = OperationDoc(
    id="getPartner",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A partner",
    description="Right: `staff.view_partners`.",
    path=PartnerIdPath,
    answers=(returned("The partner", StaffPartner, PARTNER_EXAMPLE),),
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)
UPDATE_PARTNER = OperationDoc(
    id="updatePartner",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Change a partner's terms",
    description="Only what is given changes. Right: `staff.change_partners`; limits, tier, fee and funding need "
    "`staff.change_limits` too, the settlement address `staff.change_settlement_address`, `kycVerified` and "
    "`contractSigned` `staff.manage_onboarding`.",
    path=PartnerIdPath,
    headers=(headers.IDEMPOTENCY_KEY,),
    body=TermsBody,
    body_examples={"plan": {"dailyBorrowLimit": "75000000000", "totalBorrowLimit": "300000000000", "tier": "PREMIUM"}},
    answers=(returned("The partner as it is now", UpdatedPartner, CHANGED_EXAMPLE), WAITING),
    errors=(*BODY_ERRORS, *IDEMPOTENCY_ERRORS, ErrorCode.PARTNER_NOT_FOUND),
)


class PartnersViewSet(StaffViewSet):
    """Partners by their public id; registered after everything that is a word in its place."""

    required_right = Right.VIEW_PARTNERS
    rights = {"partial_update": Right.CHANGE_PARTNERS}
    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @described(LIST_PARTNERS)
    def list(self, request: Request) -> Response:
        """Endpoint 14."""
        query = validated(PartnersQuery(data=request.query_params.dict()))
        selection = PartnerSelection(status=query["status"], tier=query["tier"])
        page = selectors.list_partners(selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"])
        return Response({**present_page(page, query), "partners": [present_partner(row) for row in page.rows]})

    @described(GET_PARTNER)
    def retrieve(self, request: Request, partner_id: str) -> Response:
        """One of them."""
        return Response(present_partner(selectors.get_partner(partner_id)))

    @described(UPDATE_PARTNER)
    @again_after_clash
    @idempotent(atomic=True, is_secret=True)
    def partial_update(self, request: Request, partner_id: str) -> Response:
        """Endpoint 11."""
        body = validated(TermsBody(data=request.data))
        partner = selectors.get_partner(partner_id)
        secret = services.change_terms(partner=partner, actor=actor_of(request), **terms.from_api(body))
        answer = present_changed(selectors.get_partner(partner_id))
        if secret is not None:
            answer |= {"webhookSecret": secret, "warning": SAVE_WEBHOOK_SECRET}
        return Response(answer)
