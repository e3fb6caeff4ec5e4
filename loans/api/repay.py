"""Endpoint 4: repay a loan, and read what became of a repayment."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.common import (
    EXAMPLE_LOAN_ID,
    EXAMPLE_REPAY_TX,
    MONEY_HEADERS,
    WHEN_PENDING,
    PartnerViewSet,
    loan_links,
    partner_of,
    pending_example,
    returned,
    validated,
)
from loans.api.settlement_wait import accepted, await_settlement, settlement_failed
from loans.debt import payoffs
from loans.models import LoanStatus, Repayment, RepaymentSource, RepaymentStatus
from loans.services.open_repayment import operation_key
from loans.services.repay import RepayRequest, request_repay
from loans.transactions import TransactionStatus, status_of_repayment
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Hash, Success, Timestamp
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


_REPAYMENT_ID = "1f0c8a52-9c3f-4a57-8a14-52d9a8f0f6b7"
REPAY_EXAMPLE = {"partnerLoanId": EXAMPLE_LOAN_ID, "repaymentAmount": "5000000000"}
REPAY_BY_TRANSFER_EXAMPLE = {**REPAY_EXAMPLE, "repaymentTxHash": "0x" + "d3" * 32}
REPAID_EXAMPLE = {
    "success": True,
    "repaymentId": _REPAYMENT_ID,
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


class RepaymentIdPath(serializers.Serializer):
    """A repayment's id in a path: any text there that is no repayment of the partner's is 404."""

    repaymentId = serializers.UUIDField()


class RepaymentState(serializers.Serializer):
    """A repayment and what became of it."""

    repaymentId = serializers.UUIDField()
    partnerLoanId = serializers.CharField()
    amount = BaseUnits()
    status = serializers.ChoiceField(choices=TransactionStatus.values)
    failureReason = serializers.CharField(
        allow_null=True, help_text="Why it failed: the debt is as it was, and nothing was taken."
    )
    txHash = Hash(allow_null=True)
    repaidBy = serializers.ChoiceField(choices=RepaymentSource.values)
    principalPaid = BaseUnits(help_text="0 until it is settled.")
    interestPaid = BaseUnits(help_text="0 until it is settled.")
    createdAt = Timestamp()
    finishedAt = Timestamp(allow_null=True, help_text="When it was settled or failed.")
    loanStatus = serializers.ChoiceField(choices=LoanStatus.values)


REPAYMENT_STATE_EXAMPLE = {
    "repaymentId": _REPAYMENT_ID,
    "partnerLoanId": EXAMPLE_LOAN_ID,
    "amount": "5000000000",
    "status": "FAILED",
    "failureReason": "ERC20InsufficientAllowance",
    "txHash": None,
    "repaidBy": "PARTNER",
    "principalPaid": "0",
    "interestPaid": "0",
    "createdAt": "2026-01-05T10:30:00Z",
    "finishedAt": "2026-01-05T10:30:04Z",
    "loanStatus": "ACTIVE",
}

GET_REPAYMENT = OperationDoc(
    id="getRepayment",
    tag="Loans",
    summary="A repayment",
    description="What became of a repayment, by the `repaymentId` of its answer: `failureReason` says why one failed.",
    path=RepaymentIdPath,
    answers=(returned("The repayment", RepaymentState, REPAYMENT_STATE_EXAMPLE),),
    errors=(ErrorCode.REPAYMENT_NOT_FOUND,),
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

    @action(detail=False, url_path=r"repayments/(?P<repayment_id>[^/]+)")
    @described(GET_REPAYMENT)
    def repayment(self, request: Request, repayment_id: str) -> Response:
        """What became of a repayment, one that failed after its acceptance included."""
        repayment = selectors.get_repayment(partner=partner_of(request), repayment_id=repayment_id)
        return Response(present_repayment_state(repayment))


def respond_to_repayment(request: Request, repayment: Repayment) -> Response:
    """The response to an accepted repayment, once it is settled or the caller's wait is over."""
    if repayment.status == RepaymentStatus.PENDING:
        pk = repayment.pk
        repayment = await_settlement(request, operation_key(pk), lambda: selectors.repayment_outcome(pk)) or repayment
    if repayment.status == RepaymentStatus.FAILED:
        raise settlement_failed("Repayment", repayment.failure_reason, {"repaymentId": str(repayment.pk)})
    body = present_repayment(repayment)
    if repayment.status == RepaymentStatus.PENDING:
        return accepted(body, f"/partners/repayments/{repayment.pk}")
    return Response(body)


def present_repayment(repayment: Repayment) -> dict[str, object]:
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


def present_repayment_state(repayment: Repayment) -> dict[str, object]:
    """The fields of `RepaymentState`; what it paid is 0 until it is settled."""
    return {
        "repaymentId": str(repayment.pk),
        "partnerLoanId": repayment.loan.partner_loan_id,
        "amount": str(repayment.amount),
        "status": str(status_of_repayment(repayment)),
        "failureReason": repayment.failure_reason or None,
        "txHash": repayment.tx_hash or None,
        "repaidBy": repayment.repaid_by,
        "principalPaid": str(repayment.principal_paid),
        "interestPaid": str(repayment.interest_paid),
        "createdAt": isoformat(repayment.created_at),
        "finishedAt": isoformat(repayment.settled_at),
        "loanStatus": repayment.loan.status,
    }
