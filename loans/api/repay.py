"""Endpoint 4: repay a loan."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.common import (
    EXAMPLE_LOAN_ID,
    EXAMPLE_REPAY_TX,
    EXAMPLE_REPAYMENT_ID,
    MONEY_HEADERS,
    WHEN_PENDING,
    PartnerViewSet,
    loan_links,
    partner_of,
    pending_example,
    returned,
    validated,
)
from loans.api.waiting.settlement_wait import accepted, await_settlement, settlement_failed
from loans.debt import payoffs
from loans.models import LoanStatus, Repayment, RepaymentStatus
from loans.services.open_repayment import operation_key
from loans.services.repay import RepayRequest, request_repay
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Hash, Success
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    Link,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.serializers import AmountField, LoanIdField, StrictSerializer, TransactionHashField
from partners.idempotency.view import idempotent, on_accepted
from partners.models import Scope


class RepayBody(StrictSerializer):
    """A repayment of a loan."""

    # Source: plan, endpoint 4.
    partnerLoanId = LoanIdField()
    repaymentAmount = AmountField(help_text="At most what the loan owes; see its payoff.")
    repaymentTxHash = TransactionHashField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The USDC transfer from your settlement address that pays it; without one it is pulled.",
    )

    def to_request(self) -> RepayRequest:
        """The validated body."""
        data = self.validated_data
        return RepayRequest(
            partner_loan_id=data["partnerLoanId"],
            repayment_amount=data["repaymentAmount"],
            repayment_tx_hash=data["repaymentTxHash"],
        )


class _RepaymentFields(serializers.Serializer):
    success = Success()
    repaymentId = serializers.UUIDField(help_text="For `GET /partners/repayments/{repaymentId}`.")
    remainingDebt = BaseUnits()
    loanStatus = serializers.ChoiceField(choices=LoanStatus.values)
    message = serializers.CharField()


class Repaid(_RepaymentFields):
    """A repayment that is settled."""

    txHash = Hash()


class RepaymentPending(_RepaymentFields):
    """A repayment that is accepted and being settled."""

    status = serializers.ChoiceField(choices=["PENDING"])


REPAY_EXAMPLE = {"partnerLoanId": EXAMPLE_LOAN_ID, "repaymentAmount": "5000000000"}
REPAY_BY_TRANSFER_EXAMPLE = {**REPAY_EXAMPLE, "repaymentTxHash": "0x" + "d3" * 32}
REPAID_EXAMPLE = {
    "success": True,
    "repaymentId": EXAMPLE_REPAYMENT_ID,
    "remainingDebt": "0",
    "loanStatus": "REPAID",
    "txHash": EXAMPLE_REPAY_TX,
    "message": "Loan fully repaid",
}

_LINKS = {
    **loan_links("$request.body#/partnerLoanId"),
    "TheRepayment": Link(operation="getRepayment", parameters={"repaymentId": "$response.body#/repaymentId"}),
}
REPAY = OperationDoc(
    id="repay",
    tag="Loans",
    summary="Repay a loan, in part or in full",
    description="Paid by the transfer that `repaymentTxHash` names, or pulled from the settlement address by its "
    "allowance. An amount that covers the debt closes the loan.",
    headers=MONEY_HEADERS,
    body=RepayBody,
    body_examples={"pulled": REPAY_EXAMPLE, "byTransfer": REPAY_BY_TRANSFER_EXAMPLE},
    answers=(
        returned("The repayment is settled", Repaid, REPAID_EXAMPLE, links=_LINKS),
        ResponseDoc(
            status=202,
            when=WHEN_PENDING,
            body=RepaymentPending,
            example=pending_example(REPAID_EXAMPLE, "Repayment accepted, settlement is pending"),
            headers=("LocationOfRepayment", "RetryAfter"),
            links=_LINKS,
        ),
    ),
    errors=(
        *BODY_ERRORS,
        *IDEMPOTENCY_ERRORS,
        ErrorCode.LOAN_NOT_FOUND,
        ErrorCode.LOAN_ALREADY_REPAID,
        ErrorCode.LOAN_NOT_REPAYABLE,
        ErrorCode.REPAYMENT_IN_PROGRESS,
        ErrorCode.REPAYMENT_EXCEEDS_DEBT,
        ErrorCode.TRANSFER_NOT_FOUND,
        ErrorCode.TRANSFER_UNCONFIRMED,
        ErrorCode.TRANSFER_REORGED,
        ErrorCode.TRANSFER_REVERTED,
        ErrorCode.TRANSFER_NOT_TO_PLATFORM,
        ErrorCode.TRANSFER_ALREADY_USED,
        ErrorCode.TRANSFER_INSUFFICIENT,
        ErrorCode.REPAYMENT_NOT_FUNDED,
        ErrorCode.SETTLEMENT_FAILED,
        ErrorCode.QUEUE_UNAVAILABLE,
        ErrorCode.CHAIN_UNAVAILABLE,
    ),
)


class RepayViewSet(PartnerViewSet):
    """Repaying."""

    @action(detail=False, methods=["post"], required_scope=Scope.REPAY)
    @described(REPAY)
    @idempotent(replay=lambda request, pk: respond_to_repayment(request, selectors.repayment_by_key(pk)))
    def repay(self, request: Request) -> Response:
        """Endpoint 4: 200 when settled, 202 when still pending, 400 when the chain refused it."""
        body = RepayBody(data=request.data)
        validated(body)
        repayment = request_repay(
            partner=partner_of(request), request=body.to_request(), on_accepted=on_accepted(request)
        )
        return respond_to_repayment(request, repayment)


def respond_to_repayment(request: Request, repayment: Repayment) -> Response:
    """The response to an accepted repayment, once it is settled or the caller's wait is over."""
    if repayment.status == RepaymentStatus.PENDING:
        pk = repayment.pk
        repayment = await_settlement(request, operation_key(pk), lambda: selectors.repayment_outcome(pk)) or repayment
    if repayment.status == RepaymentStatus.FAILED:
        raise settlement_failed("Repayment", repayment.failure_reason, {"repaymentId": str(repayment.pk)})
    body = present_repay(repayment)
    if repayment.status == RepaymentStatus.PENDING:
        return accepted(body, f"/partners/repayments/{repayment.pk}")
    return Response(body)


def present_repay(repayment: Repayment) -> dict[str, object]:
    """The fields of `Repaid`, or of `RepaymentPending`.

    The debt is the one after the loan's last event, for a settled repayment as of its own block.
    """
    loan = repayment.loan
    body = {
        "success": True,
        "repaymentId": str(repayment.pk),
        "remainingDebt": str(payoffs.debt_at(loan, loan.interest_since)),
        "loanStatus": loan.status,
    }
    if repayment.status == RepaymentStatus.PENDING:
        return {**body, "status": "PENDING", "message": "Repayment accepted, settlement is pending"}
    message = "Loan fully repaid" if loan.status == LoanStatus.REPAID else "Partial repayment processed"
    return {**body, "txHash": repayment.tx_hash, "message": message}
