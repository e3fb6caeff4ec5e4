"""The payoff of a loan: what closes it, and until when that holds."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import rules, selectors
from loans.api.common import EXAMPLE_LOAN_ID, PartnerViewSet, partner_of, returned
from loans.api.loan import LoanIdPath
from loans.debt import payoffs
from loans.debt.interest_clock import interest_moment
from loans.models import PartnerLoan
from partner_platform.core import clock
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Count, Timestamp
from partner_platform.core.openapi.operations import Link, OperationDoc, described


class Payoff(serializers.Serializer):
    """What closes a loan, and until when that holds."""

    partnerLoanId = serializers.CharField()
    payoffAmount = BaseUnits()
    remainingDebt = BaseUnits()
    outstandingPrincipal = BaseUnits()
    accruedInterest = BaseUnits()
    interestRate = Count(help_text="A year's, in basis points.")
    validUntil = Timestamp()


PAYOFF_EXAMPLE = {
    "partnerLoanId": EXAMPLE_LOAN_ID,
    "payoffAmount": "5004110000",
    "remainingDebt": "5004109589",
    "outstandingPrincipal": "5000000000",
    "accruedInterest": "4109589",
    "interestRate": 500,
    "validUntil": "2026-01-11T10:45:00Z",
}

GET_PAYOFF = OperationDoc(
    id="getPayoff",
    tag="Loans",
    summary="What closes a loan, and until when that holds",
    path=LoanIdPath,
    answers=(
        returned(
            "The quote",
            Payoff,
            PAYOFF_EXAMPLE,
            links={
                "Close": Link(
                    operation="repay",
                    body={
                        "partnerLoanId": "$response.body#/partnerLoanId",
                        "repaymentAmount": "$response.body#/payoffAmount",
                    },
                )
            },
        ),
    ),
    errors=(ErrorCode.LOAN_NOT_FOUND, ErrorCode.LOAN_ALREADY_REPAID, ErrorCode.LOAN_NOT_REPAYABLE),
)


class PayoffViewSet(PartnerViewSet):
    """A loan's payoff."""

    @action(detail=False, url_path=r"loan/(?P<partner_loan_id>[^/]+)/payoff")
    @described(GET_PAYOFF)
    def payoff(self, request: Request, partner_loan_id: str) -> Response:
        """What closes the loan, and until when that holds; 400 for a loan that cannot be repaid."""
        loan = selectors.get_loan(partner=partner_of(request), partner_loan_id=partner_loan_id)
        rules.check_repayable(loan)
        return Response(present_payoff(loan, interest_moment([loan]) or int(clock.now().timestamp())))


def present_payoff(loan: PartnerLoan, moment: int) -> dict[str, object]:
    """The fields of `Payoff`, as of `moment`, seconds since the epoch."""
    quote = payoffs.payoff_quote(loan, moment)
    return {
        "partnerLoanId": loan.partner_loan_id,
        "payoffAmount": str(quote.amount),
        "remainingDebt": str(quote.debt),
        "outstandingPrincipal": str(loan.outstanding_principal),
        "accruedInterest": str(payoffs.accrued_interest(loan, moment)),
        "interestRate": loan.interest_rate_bps,
        "validUntil": isoformat(quote.valid_until),
    }
