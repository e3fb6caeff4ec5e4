"""Endpoint 5: a loan and all that became of it."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.common import (
    EVIDENCE_OF_BORROW_EXAMPLE,
    EVIDENCE_OF_REPAYMENT_EXAMPLE,
    EXAMPLE_BORROW_TX,
    EXAMPLE_INTERNAL_ID,
    EXAMPLE_REPAY_TX,
    EXAMPLE_WALLET,
    ChainEvidence,
    PartnerViewSet,
    loan_links,
    partner_of,
    returned,
)
from loans.api.user_loans import LOAN_ROW_EXAMPLE, LoanRow
from loans.debt.interest_clock import interest_moment
from loans.debt.schedules import DUE, MISSED, PAID
from loans.models import RepaymentSource
from loans.objects.loan import present_loan
from loans.objects.recent_blocks import recent_blocks
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Address, AnyObject, BaseUnits, Count, Hash, IdText, Timestamp
from partner_platform.core.openapi.operations import OperationDoc, described
from partner_platform.core.web.serializers import LoanIdField


class LoanIdPath(serializers.Serializer):
    """A loan's id in a path: any text there that is none of the partner's loans is 404."""

    partnerLoanId = LoanIdField()


class HistoryRow(serializers.Serializer):
    """A settled repayment, whoever paid it."""

    amount = BaseUnits()
    timestamp = Timestamp()
    txHash = Hash()
    repaidBy = serializers.ChoiceField(choices=RepaymentSource.values)


class Instalment(serializers.Serializer):
    """A part of the principal and when it is due."""

    number = Count()
    dueAt = Timestamp()
    amount = BaseUnits()
    status = serializers.ChoiceField(choices=[DUE, PAID, MISSED])


class Loan(LoanRow):
    """A loan and all that became of it."""

    internalLoanId = serializers.UUIDField()
    userWallet = Address()
    oaidTokenId = Count()
    oaidTokenIdString = IdText()
    outstandingPrincipal = BaseUnits()
    accruedInterest = BaseUnits()
    totalRepaid = BaseUnits()
    interestPaid = BaseUnits()
    interestRate = Count(help_text="A year's, in basis points.")
    platformFee = BaseUnits()
    netAmountTransferred = BaseUnits()
    borrowTxHash = Hash(allow_null=True)
    borrowEvidence = ChainEvidence(allow_null=True, help_text="Of the draw.")
    repayTxHash = Hash(allow_null=True)
    failureReason = serializers.CharField(allow_null=True)
    repaymentInFlight = serializers.BooleanField(help_text="A repayment is accepted and being settled.")
    repaymentHistory = HistoryRow(
        many=True,
        help_text="Oldest first; of more than 100 the newest. All are in `GET /partners/my/transactions?type=REPAY`.",
    )
    loanDuration = Count(allow_null=True, help_text="Seconds.")
    numberOfInstallments = Count(allow_null=True)
    schedule = Instalment(many=True)
    defaultedAt = Timestamp(allow_null=True)
    defaultReason = serializers.CharField(allow_null=True)
    writtenOff = BaseUnits()
    metadata = AnyObject(allow_null=True)


LOAN_EXAMPLE = {
    **LOAN_ROW_EXAMPLE,
    "remainingDebt": "0",
    "status": "REPAID",
    "internalLoanId": EXAMPLE_INTERNAL_ID,
    "userWallet": EXAMPLE_WALLET,
    "oaidTokenId": 123,
    "oaidTokenIdString": "123",
    "outstandingPrincipal": "0",
    "accruedInterest": "0",
    "totalRepaid": "5000000000",
    "interestPaid": "0",
    "interestRate": 0,
    "platformFee": "25000000",
    "netAmountTransferred": "4975000000",
    "evidence": EVIDENCE_OF_REPAYMENT_EXAMPLE,
    "borrowTxHash": EXAMPLE_BORROW_TX,
    "borrowEvidence": EVIDENCE_OF_BORROW_EXAMPLE,
    "repayTxHash": EXAMPLE_REPAY_TX,
    "failureReason": None,
    "repaymentInFlight": False,
    "repaymentHistory": [
        {"amount": "5000000000", "timestamp": "2026-01-10T15:20:00Z", "txHash": EXAMPLE_REPAY_TX, "repaidBy": "PARTNER"}
    ],
    "loanDuration": None,
    "numberOfInstallments": None,
    "schedule": [],
    "defaultedAt": None,
    "defaultReason": None,
    "writtenOff": "0",
    "metadata": {"partnerUserId": "user_xyz_456"},
}

GET_LOAN = OperationDoc(
    id="getLoan",
    tag="Loans",
    summary="A loan",
    path=LoanIdPath,
    answers=(returned("The loan", Loan, LOAN_EXAMPLE, links=loan_links("$request.path.partnerLoanId")),),
    errors=(ErrorCode.LOAN_NOT_FOUND,),
)


class SingleLoanViewSet(PartnerViewSet):
    """A loan by the partner's own id."""

    @action(detail=False, url_path=r"loan/(?P<partner_loan_id>[^/]+)")
    @described(GET_LOAN)
    def loan(self, request: Request, partner_loan_id: str) -> Response:
        """Endpoint 5."""
        loan = selectors.get_loan(partner=partner_of(request), partner_loan_id=partner_loan_id)
        history = selectors.repayment_history(loan)
        return Response(present_loan(loan, interest_moment([loan]), history, recent_blocks.known()))
