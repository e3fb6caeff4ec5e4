"""A repayment by its id: what became of it, above all of one that failed after its 202."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.common import (
    EXAMPLE_INTERNAL_ID,
    EXAMPLE_LOAN_ID,
    EXAMPLE_REPAYMENT_ID,
    ChainEvidence,
    PartnerViewSet,
    loan_links,
    partner_of,
    returned,
)
from loans.models import FundingSource, LoanStatus, RepaymentSource
from loans.objects.recent_blocks import recent_blocks
from loans.objects.repayment import present_repayment
from loans.transactions import TransactionStatus
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Hash, Timestamp
from partner_platform.core.openapi.operations import OperationDoc, described


class RepaymentIdPath(serializers.Serializer):
    """A repayment's id in a path: any text there that is no repayment of the partner's is 404."""

    repaymentId = serializers.UUIDField()


class RepaymentAnswer(serializers.Serializer):
    """A repayment and what became of it."""

    repaymentId = serializers.UUIDField()
    partnerLoanId = serializers.CharField()
    internalLoanId = serializers.UUIDField()
    amount = BaseUnits()
    principalPaid = BaseUnits(help_text="0 until it is settled.")
    interestPaid = BaseUnits(help_text="0 until it is settled.")
    status = serializers.ChoiceField(choices=TransactionStatus.values)
    repaidBy = serializers.ChoiceField(choices=RepaymentSource.values)
    funding = serializers.ChoiceField(
        choices=FundingSource.values,
        help_text="Who paid: TRANSFER, your `repaymentTxHash`; PULLED, your allowance; TRUSTED, the platform account; "
        "ONCHAIN, somebody who paid the pool directly.",
    )
    txHash = Hash(
        allow_null=True,
        help_text="Of the transaction that paid or failed; null while PENDING or where none was sent. `status` says "
        "which.",
    )
    failureCode = serializers.CharField(allow_null=True, help_text="Of a FAILED one: an error's `code`.")
    failureReason = serializers.CharField(
        allow_null=True, help_text="Why it failed: the debt is as it was, and nothing was taken."
    )
    createdAt = Timestamp()
    settledAt = Timestamp(allow_null=True, help_text="The time of its block, once it is settled.")
    finishedAt = Timestamp(allow_null=True, help_text="When it was settled or failed.")
    loanStatus = serializers.ChoiceField(choices=LoanStatus.values)
    evidence = ChainEvidence(
        allow_null=True,
        help_text="Of the transaction that paid or failed; null while PENDING or where none was sent.",
    )


REPAYMENT_ANSWER_EXAMPLE = {
    "repaymentId": EXAMPLE_REPAYMENT_ID,
    "partnerLoanId": EXAMPLE_LOAN_ID,
    "internalLoanId": EXAMPLE_INTERNAL_ID,
    "amount": "5000000000",
    "principalPaid": "0",
    "interestPaid": "0",
    "status": "FAILED",
    "repaidBy": "PARTNER",
    "funding": "PULLED",
    "txHash": None,
    "failureCode": "settlement_failed",
    "failureReason": "ERC20InsufficientAllowance",
    "createdAt": "2026-01-05T10:30:00Z",
    "settledAt": None,
    "finishedAt": "2026-01-05T10:30:04Z",
    "loanStatus": "ACTIVE",
    "evidence": None,
}

GET_REPAYMENT = OperationDoc(
    id="getRepayment",
    tag="Loans",
    summary="A repayment",
    description="What became of a repayment, by the `repaymentId` of its answer: `failureCode` and `failureReason` say "
    "why one failed.",
    path=RepaymentIdPath,
    answers=(
        returned(
            "The repayment",
            RepaymentAnswer,
            REPAYMENT_ANSWER_EXAMPLE,
            links=loan_links("$response.body#/partnerLoanId"),
        ),
    ),
    errors=(ErrorCode.REPAYMENT_NOT_FOUND,),
)


class RepaymentsViewSet(PartnerViewSet):
    """A repayment by its id."""

    @action(detail=False, url_path=r"repayments/(?P<repayment_id>[^/]+)")
    @described(GET_REPAYMENT)
    def repayment(self, request: Request, repayment_id: str) -> Response:
        """What became of a repayment, one that failed after its acceptance included."""
        repayment = selectors.get_repayment(partner=partner_of(request), repayment_id=repayment_id)
        return Response(present_repayment(repayment, repayment.loan, recent_blocks.known()))
