"""Endpoint 6: a user's loans through the partner."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import selectors
from loans.api.common import (
    EVIDENCE_OF_BORROW_EXAMPLE,
    EXAMPLE_LOAN_ID,
    ChainEvidence,
    PartnerViewSet,
    partner_of,
    returned,
    validated,
)
from loans.api.lists import PAGE_EXAMPLE, PageFields, PageQuery, present_page
from loans.debt.interest_clock import interest_moment
from loans.models import LoanStatus
from loans.objects.loan import present_row
from loans.objects.recent_blocks import recent_blocks
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Timestamp
from partner_platform.core.openapi.operations import Link, OperationDoc, described
from partner_platform.core.web.serializers import AddressInputField, OneOfField


class UserLoansQuery(PageQuery):
    """`GET /partners/user/{userWallet}/loans` (plan, endpoint 6)."""

    userWallet = AddressInputField()
    status = OneOfField(choices=LoanStatus.choices, required=False, default=None)


class LoanRow(serializers.Serializer):
    """A loan in a list."""

    partnerLoanId = serializers.CharField()
    principalAmount = BaseUnits()
    remainingDebt = BaseUnits(help_text="Interest included.")
    status = serializers.ChoiceField(choices=LoanStatus.values)
    borrowedAt = Timestamp(allow_null=True)
    evidence = ChainEvidence(
        allow_null=True, help_text="Of the newest transaction that changed the loan; null where none did."
    )


class LoanPage(PageFields):
    """Loans, newest first."""

    loans = LoanRow(many=True)


LOAN_ROW_EXAMPLE = {
    "partnerLoanId": EXAMPLE_LOAN_ID,
    "principalAmount": "5000000000",
    "remainingDebt": "3000000000",
    "status": "ACTIVE",
    "borrowedAt": "2026-01-05T10:30:00Z",
    "evidence": EVIDENCE_OF_BORROW_EXAMPLE,
}
LOAN_PAGE_EXAMPLE = {**PAGE_EXAMPLE, "loans": [LOAN_ROW_EXAMPLE]}

LIST_USER_LOANS = OperationDoc(
    id="listUserLoans",
    tag="Loans",
    summary="A user's loans through this partner, newest first",
    query=UserLoansQuery,
    answers=(
        returned(
            "A page of loans",
            LoanPage,
            LOAN_PAGE_EXAMPLE,
            links={
                "NextPage": Link(
                    operation="listUserLoans",
                    parameters={"userWallet": "$request.path.userWallet", "cursor": "$response.body#/next"},
                ),
                "FirstLoan": Link(
                    operation="getLoan", parameters={"partnerLoanId": "$response.body#/loans/0/partnerLoanId"}
                ),
            },
        ),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)


class UserLoansViewSet(PartnerViewSet):
    """Loans of a user."""

    @action(detail=False, url_path=r"user/(?P<user_wallet>[^/]+)/loans")
    @described(LIST_USER_LOANS)
    def user_loans(self, request: Request, user_wallet: str) -> Response:
        """Endpoint 6."""
        query = validated(UserLoansQuery(data={**request.query_params.dict(), "userWallet": user_wallet}))
        page = selectors.list_user_loans(
            partner=partner_of(request),
            user_wallet=query["userWallet"],
            status=query["status"],
            limit=query["limit"],
            offset=query["offset"],
            cursor=query["cursor"],
        )
        moment, known = interest_moment(page.rows), recent_blocks.known()
        loans = [present_row(loan, moment, known) for loan in page.rows]
        return Response({**present_page(page, query), "loans": loans})
