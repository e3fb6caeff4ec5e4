"""What a borrow would come to, by the borrow's own checks; nothing is reserved or written.

It takes the very body of the borrow, `partnerLoanId` and `userAuthorization` included, since both are checked. The
scope is `borrow`, as the body may hold a user's signature: it is for keys that may use one.
"""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.borrow import BORROW_EXAMPLE, CHECK_ERRORS, CONSENTED_EXAMPLE, BorrowBody
from loans.api.common import EXAMPLE_WALLET, PartnerViewSet, partner_of, returned, validated
from loans.services.borrow import BorrowPreview, BorrowRequest, preview_borrow
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, Success
from partner_platform.core.openapi.operations import Link, OperationDoc, described
from partners.models import Partner, Scope


class PreviewedBorrow(serializers.Serializer):
    """A borrow that would be accepted at this moment."""

    success = Success()
    borrowAmount = BaseUnits()
    platformFee = BaseUnits()
    platformFeeBps = Count(help_text="In basis points of the amount.")
    netAmount = BaseUnits(help_text="What the settlement address would get: the amount less the fee.")
    settlementAddress = Address()
    availableCredit = BaseUnits(help_text="Of the OAID, before the borrow.")
    remainingCredit = BaseUnits(help_text="Of the OAID, after the borrow.")
    dailyRemaining = BaseUnits(help_text="Of your daily limit, after the borrow.")
    totalRemaining = BaseUnits(help_text="Of your total limit, after the borrow.")


PREVIEW_EXAMPLE = {
    "success": True,
    "borrowAmount": "5000000000",
    "platformFee": "25000000",
    "platformFeeBps": 50,
    "netAmount": "4975000000",
    "settlementAddress": EXAMPLE_WALLET,
    "availableCredit": "8000000000",
    "remainingCredit": "3000000000",
    "dailyRemaining": "95000000000",
    "totalRemaining": "475000000000",
}

PREVIEW_BORROW = OperationDoc(
    id="previewBorrow",
    tag="Loans",
    summary="Check a borrow without making it",
    description="Every check of the borrow in its order, with its errors, and the fee. Nothing is reserved: a borrow "
    "that is sent later is checked again. A `userAuthorization` is checked and stays unused.",
    body=BorrowBody,
    body_examples={"borrow": BORROW_EXAMPLE, "withConsent": CONSENTED_EXAMPLE},
    answers=(
        returned(
            "The borrow would be accepted now",
            PreviewedBorrow,
            PREVIEW_EXAMPLE,
            links={"Borrow": Link(operation="borrow", body="$request.body")},
        ),
    ),
    errors=CHECK_ERRORS,
)


class BorrowPreviewViewSet(PartnerViewSet):
    """Checking a borrow without making it."""

    @action(detail=False, methods=["post"], url_path="borrow/preview", required_scope=Scope.BORROW)
    @described(PREVIEW_BORROW)
    def borrow_preview(self, request: Request) -> Response:
        """200 where the borrow would be accepted now, else its refusal."""
        body = BorrowBody(data=request.data)
        validated(body)
        partner, wanted = partner_of(request), body.to_request()
        return Response(present_preview(partner, wanted, preview_borrow(partner=partner, request=wanted)))


def present_preview(partner: Partner, wanted: BorrowRequest, preview: BorrowPreview) -> dict[str, object]:
    """The fields of `PreviewedBorrow`."""
    return {
        "success": True,
        "borrowAmount": str(wanted.borrow_amount),
        "platformFee": str(preview.fee),
        "platformFeeBps": partner.platform_fee_percentage,
        "netAmount": str(preview.net),
        "settlementAddress": partner.settlement_address,
        "availableCredit": str(preview.available_credit),
        "remainingCredit": str(preview.remaining_credit),
        "dailyRemaining": str(preview.remaining.daily),
        "totalRemaining": str(preview.remaining.total),
    }
