"""A partner's statement of a month, for staff."""

# ruff: noqa: N815 - the contract's names

from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from authority.rights import Right
from loans.api.statements import DESCRIPTION, STATEMENT_ANSWERS, StatementPath, answer_statement
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.operations import Caller, OperationDoc, described
from partners import selectors
from staff.api.common import StaffViewSet


class PartnerStatementPath(StatementPath):
    """The partner and the month in the path."""

    partnerId = serializers.CharField()


GET_PARTNER_STATEMENT = OperationDoc(
    id="getPartnerStatement",
    tag="Staff",
    summary="A partner's statement of a month",
    description=DESCRIPTION,
    caller=Caller.STAFF,
    path=PartnerStatementPath,
    answers=STATEMENT_ANSWERS,
    errors=(ErrorCode.PARTNER_NOT_FOUND,),
)


class PartnerStatementsViewSet(StaffViewSet):
    """`/admin/partners/{partnerId}/statements/{month}`."""

    required_right = Right.VIEW_STATEMENTS
    lookup_url_kwarg = "partner_id"
    lookup_value_regex = "[^/]+"

    @action(detail=True, url_path="statements/(?P<month>[^/]+)")
    @described(GET_PARTNER_STATEMENT)
    def statement(self, request: Request, partner_id: str, month: str) -> HttpResponseBase:
        """A month in the form that the caller accepts."""
        return answer_statement(request, selectors.get_partner(partner_id), month)
