"""Loans of all partners: list, read."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from authority.rights import Right
from loans import selectors
from loans.api.common import EXAMPLE_INTERNAL_ID
from loans.api.lists import PAGE_EXAMPLE, present_page
from loans.api.loan import LOAN_EXAMPLE, Loan
from loans.api.partner_loans import LISTED_LOAN_PAGE_EXAMPLE, ListedLoan, PartnerLoansQuery, present_listed
from loans.debt.interest_clock import interest_moment
from loans.models import PartnerLoan
from loans.objects.loan import present_loan
from loans.objects.recent_blocks import recent_blocks
from loans.selectors import LoanSelection
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Address
from partner_platform.core.openapi.operations import Caller, Link, OperationDoc, described
from partner_platform.core.web.serializers import StrictCharField
from partners import selectors as partner_selectors
from partners.api.common import returned, validated
from staff.api.common import EXAMPLE_PARTNER_ID, BoundedPage, StaffViewSet

PARTNERS_OWN = ("partnerUserId", "loanPurpose")
GIVE_PARTNER = "Is a partner's own word: give partnerId too."


class AnyLoansQuery(PartnerLoansQuery):
    """`GET /admin/loans`: as a partner lists its own, of one partner or of all."""

    partnerId = StrictCharField(
        max_length=64, trim_whitespace=False, required=False, default=None, help_text="A partner's id, exactly."
    )

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        """Raise where a text that means something with one partner only is looked for among all."""
        wrong = [name for name in PARTNERS_OWN if attrs[name] is not None and attrs["partnerId"] is None]
        if wrong:
            raise serializers.ValidationError({name: [GIVE_PARTNER] for name in wrong})
        return super().validate(attrs)


class LoanIdInPath(serializers.Serializer):
    """A loan's internal id in a path: any text there that is no loan's is 404."""

    internalLoanId = serializers.UUIDField()


class StaffListedLoan(ListedLoan):
    """A loan in the list, and whose it is."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()


class StaffLoanPage(BoundedPage):
    """Loans, newest first."""

    loans = StaffListedLoan(many=True)


class StaffLoan(Loan):
    """A loan and all that became of it, and whose it is."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()
    settlementAddress = Address(help_text="Where its USDC went.")


_WHOSE = {"partnerId": EXAMPLE_PARTNER_ID, "partnerName": "New Lending Platform"}
_LISTED: Any = LISTED_LOAN_PAGE_EXAMPLE["loans"]
STAFF_LOAN_EXAMPLE = {
    **LOAN_EXAMPLE,
    **_WHOSE,
    "settlementAddress": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
}

LIST_ANY_LOANS = OperationDoc(
    id="listAnyLoans",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Loans of all partners, newest first",
    description="`partnerUserId` and `loanPurpose` are a partner's own words and need its `partnerId`. Right: "
    "`staff.view_loans`.",
    query=AnyLoansQuery,
    answers=(
        returned(
            "A page of loans",
            StaffLoanPage,
            {**PAGE_EXAMPLE, "loans": [{**row, **_WHOSE} for row in _LISTED]},
            links={
                "NextPage": Link(operation="listAnyLoans", parameters={"cursor": "$response.body#/next"}),
                "FirstLoan": Link(
                    operation="getAnyLoan", parameters={"internalLoanId": "$response.body#/loans/0/internalLoanId"}
                ),
            },
        ),
    ),
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)
GET_ANY_LOAN = OperationDoc(
    id="getAnyLoan",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="A loan of any partner",
    description="Right: `staff.view_loans`.",
    path=LoanIdInPath,
    answers=(returned("The loan", StaffLoan, {**STAFF_LOAN_EXAMPLE, "internalLoanId": EXAMPLE_INTERNAL_ID}),),
    errors=(ErrorCode.LOAN_NOT_FOUND,),
)


class LoansViewSet(StaffViewSet):
    """Loans by their internal id."""

    required_right = Right.VIEW_LOANS
    lookup_url_kwarg = "internal_loan_id"
    lookup_value_regex = "[^/]+"

    @described(LIST_ANY_LOANS)
    def list(self, request: Request) -> Response:
        """A page of the loans that the filters select."""
        query = validated(AnyLoansQuery(data=request.query_params.dict()))
        whose = query["partnerId"]
        selection = LoanSelection(
            partner=None if whose is None else partner_selectors.get_partner(whose),
            status=query["status"],
            user_wallet=query["userWallet"],
            partner_user_id=query["partnerUserId"],
            loan_purpose=query["loanPurpose"],
            start=query["startDate"],
            end=query["endDate"],
        )
        page = selectors.list_any_loans(selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"])
        return Response({**present_page(page, query), "loans": present_any_loans(page.rows)})

    @described(GET_ANY_LOAN)
    def retrieve(self, request: Request, internal_loan_id: str) -> Response:
        """One of them."""
        return Response(present_staff_loan(selectors.loan_by_internal_id(internal_loan_id)))


def present_any_loans(loans: list[PartnerLoan]) -> list[dict[str, object]]:
    """The fields of `StaffListedLoan`, of each."""
    moment, known = interest_moment(loans), recent_blocks.known()
    names = partner_selectors.names_of(loan.partner_id for loan in loans)
    return [
        {
            **present_listed(loan, moment, known),
            "partnerId": names[loan.partner_id].partner_id,
            "partnerName": names[loan.partner_id].partner_name,
        }
        for loan in loans
    ]


def present_staff_loan(loan: PartnerLoan) -> dict[str, object]:
    """The fields of `StaffLoan`."""
    history = selectors.repayment_history(loan)
    return {
        **present_loan(loan, interest_moment([loan]), history, recent_blocks.known()),
        "partnerId": loan.partner.partner_id,
        "partnerName": loan.partner.partner_name,
        "settlementAddress": loan.settlement_address,
    }
