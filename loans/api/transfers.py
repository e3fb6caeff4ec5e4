"""A partner's transfers to the platform account, and what repayments have claimed of them."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans.api.common import PartnerViewSet, partner_of, returned, validated
from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from loans.funding import incoming
from loans.objects.transfer import present_transfer
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, Hash
from partner_platform.core.openapi.operations import OperationDoc, described
from partner_platform.core.web.pagination import paginate
from partner_platform.core.web.serializers import OneOfField

UNCLAIMED, CLAIMED = "unclaimed", "claimed"


class TransfersQuery(PageQuery):
    """Which transfers, and which page of them."""

    status = OneOfField(
        choices=(UNCLAIMED, CLAIMED),
        required=False,
        default=None,
        help_text="`unclaimed`: of which something is left; `claimed`: all of which funded repayments.",
    )


class TransferState(serializers.Serializer):
    """USDC that one transaction brought from an address of yours to the platform account."""

    txHash = Hash(help_text="For `repaymentTxHash`.")
    sender = Address()
    value = BaseUnits()
    used = BaseUnits(help_text="What repayments have claimed of it.")
    unclaimed = BaseUnits(help_text="What is left.")
    blockNumber = Count()
    blockHash = Hash()


class TransferPage(PageFields):
    """A page of transfers, newest first."""

    transfers = TransferState(many=True)


TRANSFER_EXAMPLE = {
    "txHash": "0x" + "d3" * 32,
    "sender": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "value": "5000000000",
    "used": "0",
    "unclaimed": "5000000000",
    "blockNumber": 84210331,
    "blockHash": "0x" + "c3" * 32,
}

LIST_TRANSFERS = OperationDoc(
    id="listTransfers",
    tag="Reports",
    summary="What you sent to the platform account",
    description="USDC from an address that is or was your settlement address, and how much of it repayments have "
    "claimed. A transfer is listed about five minutes after its block, or when a repayment first names it.",
    query=TransfersQuery,
    answers=(returned("The transfers", TransferPage, {**PAGE_EXAMPLE, "transfers": [TRANSFER_EXAMPLE]}),),
)


class TransfersViewSet(PartnerViewSet):
    """What a partner sent."""

    @action(detail=False, url_path="my/transfers")
    @described(LIST_TRANSFERS)
    def transfers(self, request: Request) -> Response:
        """A page of the partner's transfers."""
        query = validated(TransfersQuery(data=request.query_params.dict()))
        partner, status = partner_of(request), query["status"]
        page = paginate(
            streams=incoming.transfer_streams(partner, is_claimed=None if status is None else status == CLAIMED),
            scope=f"transfers:{partner.pk}:{status}",
            limit=query["limit"],
            offset=query["offset"],
            cursor=query["cursor"],
        )
        rows = incoming.on_the_chain(page.rows)
        return Response({**present_page(page, query), "transfers": [present_transfer(row) for row in rows]})
