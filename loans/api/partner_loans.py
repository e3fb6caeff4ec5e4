"""All of a partner's loans, by what a partner looks for them with."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from chain.selectors import KnownBlocks
from loans import selectors
from loans.api.common import EXAMPLE_INTERNAL_ID, EXAMPLE_WALLET, PartnerViewSet, partner_of, returned, validated
from loans.api.lists import PAGE_EXAMPLE, DaysQuery, PageFields, present_page
from loans.api.user_loans import LOAN_ROW_EXAMPLE, LoanRow
from loans.debt.interest_clock import interest_moment
from loans.models import MAX_LABEL, LoanStatus, PartnerLoan
from loans.objects.loan import present_row
from loans.objects.recent_blocks import recent_blocks
from loans.selectors import LoanSelection
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Address, Count, IdText, Timestamp
from partner_platform.core.openapi.operations import Link, OperationDoc, described
from partner_platform.core.web.serializers import AddressInputField, OneOfField, StrictCharField


def _label(name: str) -> StrictCharField:
    """A text of a loan's metadata to look for, as it is there; of a whole number its digits."""
    told = f"`metadata.{name}` of the borrow, exactly."
    return StrictCharField(max_length=MAX_LABEL, trim_whitespace=False, required=False, default=None, help_text=told)


class PartnerLoansQuery(DaysQuery):
    """`GET /partners/loans`: the days are those of `createdAt`."""

    status = OneOfField(choices=LoanStatus.choices, required=False, default=None)
    userWallet = AddressInputField(required=False, default=None)
    partnerUserId = _label("partnerUserId")
    loanPurpose = _label("loanPurpose")


class ListedLoan(LoanRow):
    """A loan in the list of all loans."""

    internalLoanId = serializers.UUIDField()
    userWallet = Address()
    oaidTokenId = Count()
    oaidTokenIdString = IdText()
    partnerUserId = serializers.CharField(allow_null=True, help_text="Of the metadata: a text or a whole number.")
    loanPurpose = serializers.CharField(allow_null=True, help_text="Of the metadata: a text or a whole number.")
    createdAt = Timestamp()


class ListedLoanPage(PageFields):
    """Loans, newest first."""

    loans = ListedLoan(many=True)


LISTED_LOAN_PAGE_EXAMPLE = {
    **PAGE_EXAMPLE,
    "loans": [
        {
            **LOAN_ROW_EXAMPLE,
            "internalLoanId": EXAMPLE_INTERNAL_ID,
            "userWallet": EXAMPLE_WALLET,
            "oaidTokenId": 123,
            "oaidTokenIdString": "123",
            "partnerUserId": "user_xyz_456",
            "loanPurpose": "working_capital",
            "createdAt": "2026-01-05T10:29:58Z",
        }
    ],
}

LIST_LOANS = OperationDoc(
    id="listLoans",
    tag="Loans",
    summary="All loans of this partner, newest first",
    query=PartnerLoansQuery,
    answers=(
        returned(
            "A page of loans",
            ListedLoanPage,
            LISTED_LOAN_PAGE_EXAMPLE,
            links={
                "NextPage": Link(operation="listLoans", parameters={"cursor": "$response.body#/next"}),
                "FirstLoan": Link(
                    operation="getLoan", parameters={"partnerLoanId": "$response.body#/loans/0/partnerLoanId"}
                ),
            },
        ),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)


class PartnerLoansViewSet(PartnerViewSet):
    """All of a partner's loans."""

    @action(detail=False, url_path="loans")
    @described(LIST_LOANS)
    def loans(self, request: Request) -> Response:
        """A page of the loans that the filters select."""
        query = validated(PartnerLoansQuery(data=request.query_params.dict()))
        selection = LoanSelection(
            partner=partner_of(request),
            status=query["status"],
            user_wallet=query["userWallet"],
            partner_user_id=query["partnerUserId"],
            loan_purpose=query["loanPurpose"],
            start=query["startDate"],
            end=query["endDate"],
        )
        page = selectors.list_loans(selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"])
        moment, known = interest_moment(page.rows), recent_blocks.known()
        loans = [present_listed(loan, moment, known) for loan in page.rows]
        return Response({**present_page(page, query), "loans": loans})


def present_listed(loan: PartnerLoan, moment: int, known: KnownBlocks) -> dict[str, object]:
    """The fields of `ListedLoan`; the debt as of `moment`, seconds since the epoch."""
    return {
        **present_row(loan, moment, known),
        "internalLoanId": str(loan.internal_loan_id),
        "userWallet": loan.user_wallet,
        "oaidTokenId": loan.oaid_token_id,
        "oaidTokenIdString": str(loan.oaid_token_id),
        "partnerUserId": loan.partner_user_id or None,
        "loanPurpose": loan.loan_purpose or None,
        "createdAt": isoformat(loan.created_at),
    }
