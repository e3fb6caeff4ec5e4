"""Endpoints 7 and 8: the partner's figures, and its borrows and repayments as pages or as CSV."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Iterator, Mapping
from itertools import chain

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import stats, transactions
from loans.api.common import (
    EXAMPLE_BORROW_TX,
    EXAMPLE_LOAN_ID,
    EXAMPLE_WALLET,
    PartnerViewSet,
    partner_of,
    returned,
    validated,
)
from loans.api.lists import PAGE_EXAMPLE, DaysQuery, PageFields, present_page
from loans.transactions import Selection, TransactionStatus, TransactionType
from partner_platform.core.errors import ErrorCode, invalid_fields
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, Hash, Timestamp
from partner_platform.core.openapi.operations import CSV, Link, OperationDoc, described
from partner_platform.core.web.serializers import OneOfField
from partners.models import PartnerStatus, PartnerTier


class Limits(serializers.Serializer):
    """What the partner may borrow."""

    dailyBorrowLimit = BaseUnits()
    totalBorrowLimit = BaseUnits()
    currentOutstanding = BaseUnits()


class Usage(serializers.Serializer):
    """What is left of it; the day is the UTC day."""

    dailyBorrowed = BaseUnits()
    dailyRemaining = BaseUnits()
    totalRemaining = BaseUnits()
    utilizationRate = serializers.RegexField(r"^[0-9]+\.[0-9]%$")


class Lifetime(serializers.Serializer):
    """Sums over all of the partner's loans."""

    totalBorrowed = BaseUnits()
    totalRepaid = BaseUnits()
    activeLoans = Count()
    repaidLoans = Count()


class Stats(serializers.Serializer):
    """A partner's figures."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()
    tier = serializers.ChoiceField(choices=PartnerTier.values)
    status = serializers.ChoiceField(choices=PartnerStatus.values)
    limits = Limits()
    usage = Usage()
    lifetime = Lifetime()


STATS_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "partnerName": "XYZ Lending",
    "tier": "PREMIUM",
    "status": "ACTIVE",
    "limits": {
        "dailyBorrowLimit": "100000000000",
        "totalBorrowLimit": "500000000000",
        "currentOutstanding": "25000000000",
    },
    "usage": {
        "dailyBorrowed": "5000000000",
        "dailyRemaining": "95000000000",
        "totalRemaining": "475000000000",
        "utilizationRate": "5.0%",
    },
    "lifetime": {
        "totalBorrowed": "150000000000",
        "totalRepaid": "125000000000",
        "activeLoans": 12,
        "repaidLoans": 87,
    },
}

GET_STATS = OperationDoc(
    id="getStats",
    tag="Reports",
    summary="Limits, today's use and lifetime sums",
    answers=(returned("The figures", Stats, STATS_EXAMPLE),),
)


class TransactionsQuery(DaysQuery):
    """`GET /partners/my/transactions` (plan, endpoint 8)."""

    type = OneOfField(choices=TransactionType.choices, required=False, default=None)
    status = OneOfField(choices=TransactionStatus.choices, required=False, default=None)


class Transaction(serializers.Serializer):
    """A borrow or a repayment."""

    timestamp = Timestamp()
    type = serializers.ChoiceField(choices=TransactionType.values)
    partnerLoanId = serializers.CharField()
    amount = BaseUnits()
    userWallet = Address()
    txHash = Hash(allow_null=True)
    status = serializers.ChoiceField(choices=TransactionStatus.values)
    repaymentId = serializers.UUIDField(allow_null=True, help_text="Of a REPAY.")
    failureReason = serializers.CharField(allow_null=True, help_text="Of one that is FAILED.")


class TransactionPage(PageFields):
    """Transactions, newest first."""

    transactions = Transaction(many=True)


TRANSACTION_PAGE_EXAMPLE = {
    **PAGE_EXAMPLE,
    "transactions": [
        {
            "timestamp": "2026-01-05T10:30:00Z",
            "type": "BORROW",
            "partnerLoanId": EXAMPLE_LOAN_ID,
            "amount": "5000000000",
            "userWallet": EXAMPLE_WALLET,
            "txHash": EXAMPLE_BORROW_TX,
            "status": "SUCCESS",
            "repaymentId": None,
            "failureReason": None,
        }
    ],
}
CSV_EXAMPLE = (
    "timestamp,type,partnerLoanId,amount,userWallet,txHash,status,repaymentId,failureReason\r\n"
    f"2026-01-05T10:30:00Z,BORROW,{EXAMPLE_LOAN_ID},5000000000,{EXAMPLE_WALLET},{EXAMPLE_BORROW_TX},SUCCESS,,\r\n"
)

LIST_TRANSACTIONS = OperationDoc(
    id="listTransactions",
    tag="Reports",
    summary="Borrows and repayments, newest first",
    description="A page as JSON; with `Accept: text/csv` all rows as CSV, streamed, where `limit`, `offset` and "
    "`cursor` are refused. A loan's id that begins with a dash has a `'` before it there, so that no spreadsheet "
    "takes it for a formula.",
    query=TransactionsQuery,
    answers=(
        returned(
            "A page of transactions, or all rows as CSV",
            TransactionPage,
            TRANSACTION_PAGE_EXAMPLE,
            links={"NextPage": Link(operation="listTransactions", parameters={"cursor": "$response.body#/next"})},
        ),
        returned("A page of transactions, or all rows as CSV", {"type": "string"}, CSV_EXAMPLE, media_type=CSV),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)


class ReportsViewSet(PartnerViewSet):
    """The partner's figures and transactions."""

    @action(detail=False, url_path="my/stats")
    @described(GET_STATS)
    def stats(self, request: Request) -> Response:
        """Endpoint 7."""
        return Response(stats.stats(partner_of(request)))

    @action(detail=False, url_path="my/transactions")
    @described(LIST_TRANSACTIONS)
    def transactions(self, request: Request) -> HttpResponseBase:
        """Endpoint 8: a page as JSON, or everything that the filters select as CSV."""
        query = validated(TransactionsQuery(data=request.query_params.dict()))
        selection = Selection(
            partner=partner_of(request),
            start=query["startDate"],
            end=query["endDate"],
            type=query["type"],
            status=query["status"],
        )
        if wants_csv(request):
            _refuse_pages(request.query_params)
            return _stream(transactions.csv_chunks(selection))
        page = transactions.list_transactions(
            selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"]
        )
        return Response({**present_page(page, query), "transactions": page.rows})


def wants_csv(request: Request) -> bool:
    """Whether the caller prefers `text/csv` to JSON."""
    return request._request.get_preferred_type(["application/json", "text/csv"]) == "text/csv"  # noqa: SLF001 - Django's


def _refuse_pages(query: Mapping[str, object]) -> None:
    """The CSV has all rows that the filters select: 400 for a query that asks for a part of them."""
    if parts := [name for name in ("limit", "offset", "cursor") if name in query]:
        raise invalid_fields({name: ["Not with text/csv, which has all rows."] for name in parts})


def _stream(chunks: Iterator[str]) -> StreamingHttpResponse:
    first = next(chunks) + next(chunks, "")  # an error in the first rows is raised here, while it can still be a 500
    response = StreamingHttpResponse(chain([first], chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="transactions.csv"'
    return response
