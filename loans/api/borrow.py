"""Endpoint 3: borrow for a user."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.borrow_terms import TERMS_EXAMPLE, BorrowTerms
from loans.api.common import (
    EXAMPLE_BORROW_TX,
    EXAMPLE_INTERNAL_ID,
    MONEY_HEADERS,
    WHEN_PENDING,
    PartnerViewSet,
    loan_links,
    partner_of,
    pending_example,
    validated,
)
from loans.api.consent import UNSIGNED_EXAMPLE, UserAuthorizationBody
from loans.api.waiting.settlement_wait import accepted, await_settlement, settlement_failed
from loans.models import LoanStatus, PartnerLoan
from loans.services.borrow import request_borrow
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Hash, Success
from partner_platform.core.openapi.operations import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    OperationDoc,
    ResponseDoc,
    described,
)
from partner_platform.core.web.serializers import MetadataField
from partners.idempotency.view import idempotent, on_accepted
from partners.models import Scope


class BorrowBody(BorrowTerms):
    """A borrow on a user's credit line."""

    # Source: plan, endpoint 3. The names are the contract's.
    userAuthorization = UserAuthorizationBody(
        required=False, allow_null=True, default=None, help_text="Where the platform asks for the user's consent."
    )
    metadata = MetadataField(
        required=False, allow_null=True, default=None, help_text="Yours, at most 8 KiB; answered with the loan."
    )


class _BorrowFields(serializers.Serializer):
    success = Success()
    internalLoanId = serializers.UUIDField()
    borrowedAmount = BaseUnits()
    netAmountTransferred = BaseUnits(help_text="What the settlement address gets: the amount less the fee.")
    platformFee = BaseUnits()
    remainingCredit = BaseUnits()
    message = serializers.CharField()


class Borrowed(_BorrowFields):
    """A loan that was drawn."""

    txHash = Hash()


class BorrowPending(_BorrowFields):
    """A loan that is accepted and being settled."""

    status = serializers.ChoiceField(choices=["PENDING"])


BORROW_EXAMPLE = {**TERMS_EXAMPLE, "metadata": {"partnerUserId": "user_xyz_456", "loanPurpose": "working_capital"}}
CONSENTED_EXAMPLE = {
    **TERMS_EXAMPLE,
    "userAuthorization": {**UNSIGNED_EXAMPLE, "signature": "0x" + "5c" * 65},
}
BORROWED_EXAMPLE = {
    "success": True,
    "internalLoanId": EXAMPLE_INTERNAL_ID,
    "borrowedAmount": "5000000000",
    "netAmountTransferred": "4975000000",
    "platformFee": "25000000",
    "remainingCredit": "3000000000",
    "txHash": EXAMPLE_BORROW_TX,
    "message": "Loan successfully processed",
}

# What the checks of a borrow refuse; a preview runs the same ones.
CHECK_ERRORS = (
    *BODY_ERRORS,
    ErrorCode.BORROWING_PAUSED,
    ErrorCode.LOAN_BELOW_MINIMUM,
    ErrorCode.CONSENT_REQUIRED,
    ErrorCode.CONSENT_EXPIRED,
    ErrorCode.CONSENT_INVALID,
    ErrorCode.OAID_NOT_FOUND,
    ErrorCode.NOT_OAID_OWNER,
    ErrorCode.CREDIT_LINE_INACTIVE,
    ErrorCode.SCREENING_UNAVAILABLE,
    ErrorCode.WALLET_REFUSED,
    ErrorCode.INSUFFICIENT_CREDIT,
    ErrorCode.POSITION_FROZEN,
    ErrorCode.DAILY_LIMIT_EXCEEDED,
    ErrorCode.TOTAL_LIMIT_EXCEEDED,
    ErrorCode.DUPLICATE_LOAN_ID,
    ErrorCode.CONSENT_USED,
    ErrorCode.NO_ACTIVE_POSITION,
    ErrorCode.POSITION_HAS_LOAN,
    ErrorCode.QUEUE_UNAVAILABLE,
    ErrorCode.CHAIN_UNAVAILABLE,
)

BORROW = OperationDoc(
    id="borrow",
    tag="Loans",
    summary="Borrow for a user",
    description="Checked, reserved and accepted in one transaction, then settled on the chain.",
    headers=MONEY_HEADERS,
    body=BorrowBody,
    body_examples={"borrow": BORROW_EXAMPLE, "withConsent": CONSENTED_EXAMPLE},
    answers=(
        ResponseDoc(
            status=201,
            when="The loan is drawn and paid out",
            body=Borrowed,
            example=BORROWED_EXAMPLE,
            links=loan_links("$request.body#/partnerLoanId"),
        ),
        ResponseDoc(
            status=202,
            when=WHEN_PENDING,
            body=BorrowPending,
            example=pending_example(BORROWED_EXAMPLE, "Loan accepted, settlement is pending"),
            headers=("Location", "RetryAfter"),
            links=loan_links("$request.body#/partnerLoanId"),
        ),
    ),
    errors=(*IDEMPOTENCY_ERRORS, *CHECK_ERRORS, ErrorCode.SETTLEMENT_FAILED),
)


class BorrowViewSet(PartnerViewSet):
    """Borrowing."""

    @action(detail=False, methods=["post"], required_scope=Scope.BORROW)
    @described(BORROW)
    @idempotent(replay=lambda request, pk: respond_to_borrow(request, selectors.loan_by_key(pk)), is_once=True)
    def borrow(self, request: Request) -> Response:
        """Endpoint 3: 201 when settled, 202 when still pending, 400 when the chain refused it."""
        body = BorrowBody(data=request.data)
        validated(body)
        loan = request_borrow(partner=partner_of(request), request=body.to_request(), on_accepted=on_accepted(request))
        return respond_to_borrow(request, loan)


def respond_to_borrow(request: Request, loan: PartnerLoan) -> Response:
    """The response to an accepted borrow, once it is settled or the caller's wait is over."""
    if loan.status == LoanStatus.PENDING:
        loan = await_settlement(request, loan.borrow_operation.key, lambda: selectors.borrow_outcome(loan.pk)) or loan
    if loan.status == LoanStatus.FAILED:
        raise settlement_failed("Loan", loan.failure_reason, {"internalLoanId": str(loan.internal_loan_id)})
    if loan.status == LoanStatus.PENDING:
        return accepted(present_borrow(loan), f"/partners/loan/{loan.partner_loan_id}")
    return Response(present_borrow(loan), status=201)


def present_borrow(loan: PartnerLoan) -> dict[str, object]:
    """The fields of `Borrowed`, or of `BorrowPending`."""
    body = {
        "success": True,
        "internalLoanId": str(loan.internal_loan_id),
        "borrowedAmount": str(loan.principal_amount),
        "netAmountTransferred": str(loan.net_amount),
        "platformFee": str(loan.platform_fee_charged),
        "remainingCredit": str(loan.remaining_credit),
    }
    if loan.status == LoanStatus.PENDING:
        return {**body, "status": "PENDING", "message": "Loan accepted, settlement is pending"}
    return {**body, "txHash": loan.borrow_tx_hash, "message": "Loan successfully processed"}
