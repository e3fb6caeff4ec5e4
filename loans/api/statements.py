"""A partner's statement of a month, as JSON, CSV or PDF; the staff API answers the same of any partner."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Iterator
from itertools import chain, islice

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from loans.api.common import (
    EXAMPLE_BORROW_TX,
    EXAMPLE_LOAN_ID,
    PartnerViewSet,
    partner_of,
    returned,
)
from loans.statements.as_csv import csv_statement
from loans.statements.as_json import json_chunks
from loans.statements.as_pdf import MAX_LINES, pdf_bytes
from loans.statements.lines import LineKind
from loans.statements.statement import open_statement
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import BaseUnits, Count, Hash, Timestamp
from partner_platform.core.openapi.operations import CSV, JSON, OperationDoc, ResponseDoc, described
from partners.models import Partner

PDF = "application/pdf"
WHOLE_CHUNKS = 4  # an answer of no more is sent whole, with its length; a longer one is streamed

DESCRIPTION = (
    "`month` is such as `2026-10`, in UTC. JSON; with `Accept: text/csv` as CSV, with `Accept: application/pdf` as PDF "
    f"(of {MAX_LINES} lines at most). The balance is what drawn loans owe of their principal; a line of interest or of "
    "a fee does not change it. `isProvisional`: the month is not over, or something accepted in it is not decided."
)


@extend_schema_field({"type": "string", "pattern": "^-?(?:0|[1-9][0-9]*)$"})
class SignedBaseUnits(serializers.CharField):
    """An amount of USDC that may be negative, as a decimal string."""


@extend_schema_field({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$", "examples": ["2026-10"]})
class MonthField(serializers.CharField):
    """A month."""


class StatementPath(serializers.Serializer):
    """The month in the path."""

    month = MonthField(help_text="In UTC. One that has not begun is 400.")


class StatementLine(serializers.Serializer):
    """What moved."""

    date = Timestamp(help_text="The block's time; of an UNDONE line when it was taken back.")
    kind = serializers.ChoiceField(choices=[kind.value for kind in LineKind])
    undoes = serializers.ChoiceField(
        choices=[kind.value for kind in LineKind if kind != LineKind.UNDONE],
        allow_null=True,
        help_text="Of an UNDONE line: the kind of the line that a reorganization of the chain took back.",
    )
    partnerLoanId = serializers.CharField()
    amount = SignedBaseUnits(help_text="Negative where it is taken back.")
    balanceChange = SignedBaseUnits()
    balance = SignedBaseUnits(help_text="Behind the line.")
    txHash = Hash(allow_null=True)
    blockNumber = Count(allow_null=True)


class StatementTotals(serializers.Serializer):
    """The sums of the lines, less what was taken back. Closing less opening is borrowed - repaid + interest -
    writtenOff.
    """

    borrowed = SignedBaseUnits()
    repaid = SignedBaseUnits(help_text="Principal and interest, what liquidations recovered included.")
    fees = SignedBaseUnits()
    interest = SignedBaseUnits()
    writtenOff = SignedBaseUnits(help_text="Principal that was lost.")


class StatementState(serializers.Serializer):
    """A month."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()
    month = MonthField()
    # `from` is a word of Python's: see `get_fields`.
    until = Timestamp(help_text="The first moment of the next month.")
    isProvisional = serializers.BooleanField()
    openingBalance = BaseUnits()
    lines = StatementLine(many=True)
    closingBalance = BaseUnits()
    pending = BaseUnits(
        allow_null=True,
        help_text="Of the month that is not over: accepted and not drawn yet; with the closing balance what is "
        "outstanding now.",
    )
    totals = StatementTotals()

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "from": Timestamp(help_text="The first moment of the month.")}


STATEMENT_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "partnerName": "XYZ Lending",
    "month": "2026-01",
    "from": "2026-01-01T00:00:00Z",
    "until": "2026-02-01T00:00:00Z",
    "isProvisional": False,
    "openingBalance": "20000000000",
    "lines": [
        {
            "date": "2026-01-05T10:30:00Z",
            "kind": "BORROW",
            "undoes": None,
            "partnerLoanId": EXAMPLE_LOAN_ID,
            "amount": "5000000000",
            "balanceChange": "5000000000",
            "balance": "25000000000",
            "txHash": EXAMPLE_BORROW_TX,
            "blockNumber": 84210331,
        }
    ],
    "closingBalance": "25000000000",
    "pending": None,
    "totals": {"borrowed": "5000000000", "repaid": "0", "fees": "0", "interest": "0", "writtenOff": "0"},
}
CSV_EXAMPLE = (
    "date,kind,undoes,partnerLoanId,amount,balanceChange,balance,txHash,blockNumber\r\n"
    "2026-01-01T00:00:00Z,OPENING,,,,,20000000000,,\r\n"
    f"2026-01-05T10:30:00Z,BORROW,,{EXAMPLE_LOAN_ID},5000000000,5000000000,25000000000,{EXAMPLE_BORROW_TX},84210331\r\n"
    "2026-02-01T00:00:00Z,CLOSING,,,,,25000000000,,\r\n"
)
_WHEN = "The statement, in the form that `Accept` names"
STATEMENT_ANSWERS: tuple[ResponseDoc, ...] = (
    returned(_WHEN, StatementState, STATEMENT_EXAMPLE),
    returned(_WHEN, {"type": "string"}, CSV_EXAMPLE, media_type=CSV),
    returned(_WHEN, {"type": "string", "format": "binary"}, "%PDF-1.3…", media_type=PDF),
)

GET_STATEMENT = OperationDoc(
    id="getStatement",
    tag="Reports",
    summary="Your statement of a month",
    description=DESCRIPTION,
    path=StatementPath,
    answers=STATEMENT_ANSWERS,
    errors=(ErrorCode.INVALID_REQUEST,),
)


class StatementsViewSet(PartnerViewSet):
    """The partner's months."""

    @action(detail=False, url_path="my/statements/(?P<month>[^/]+)")
    @described(GET_STATEMENT)
    def statement(self, request: Request, month: str) -> HttpResponseBase:
        """A month in the form that the caller accepts."""
        return answer_statement(request, partner_of(request), month)


def answer_statement(request: Request, partner: Partner, month: str) -> HttpResponseBase:
    """The partner's statement in the form that `Accept` names."""
    form = request._request.get_preferred_type([JSON, CSV, PDF])  # noqa: SLF001 - Django's
    statement = open_statement(partner, month)
    name = f"statement_{partner.partner_id}_{statement.month}"
    if form == PDF:
        return _named(HttpResponse(pdf_bytes(statement), content_type=PDF), f"{name}.pdf")
    if form == CSV:
        return _named(_answer(csv_statement(statement), f"{CSV}; charset=utf-8"), f"{name}.csv")
    return _answer(json_chunks(statement), JSON)


def _answer(chunks: Iterator[str], content_type: str) -> HttpResponse | StreamingHttpResponse:
    """An error in the first pieces is raised here, while it can still be a 500."""
    first = list(islice(chunks, WHOLE_CHUNKS))
    if len(first) < WHOLE_CHUNKS:
        return HttpResponse("".join(first), content_type=content_type)
    return StreamingHttpResponse(chain(first, chunks), content_type=content_type)


def _named(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
