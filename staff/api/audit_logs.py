"""Endpoint 16: the log of partners' API calls."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit import selectors
from audit.models import ApiLog
from audit.selectors import LogSelection
from authority.rights import Right
from loans.api.lists import PAGE_EXAMPLE, DaysQuery, present_page
from loans.api.requests import MAX_PATH, PathField
from partner_platform.core.clock import isoformat
from partner_platform.core.openapi.fields import Address, AnyObject, Count, IdText, Timestamp
from partner_platform.core.openapi.operations import Caller, Link, OperationDoc, described
from partner_platform.core.web.serializers import DigitsField, OneOfField, StrictCharField
from partners.api.common import returned, validated
from staff.api.common import BoundedPage, StaffViewSet

TRUE, FALSE = "true", "false"


class AuditLogsQuery(DaysQuery):
    """`GET /admin/partners/audit-logs`."""

    partnerId = StrictCharField(
        max_length=64, trim_whitespace=False, required=False, default=None, help_text="A partner's id, exactly."
    )
    success = OneOfField(choices=[TRUE, FALSE], required=False, default=None)
    endpoint = PathField(
        max_length=MAX_PATH,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The path without its query, exactly: `/partners/borrow`.",
    )
    statusCode = DigitsField(min_value=100, max_value=599, required=False, default=None)
    requestId = StrictCharField(
        max_length=64,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `X-Request-Id` of the answer; together with `partnerId` also the one that the partner sent.",
    )


class LoggedCall(serializers.Serializer):
    """A call to the partner API (plan, PartnerApiLog)."""

    partnerId = serializers.CharField(allow_null=True, help_text="Null where nobody was authenticated.")
    partnerName = serializers.CharField(allow_null=True)
    endpoint = serializers.CharField()
    method = serializers.CharField()
    ipAddress = serializers.CharField(allow_null=True)
    userAgent = serializers.CharField(allow_null=True)
    requestPayload = AnyObject(allow_null=True, help_text="What was sent, without secrets, shortened.")
    statusCode = Count()
    responseTime = Count(help_text="Milliseconds.")
    success = serializers.BooleanField()
    errorMessage = serializers.CharField(allow_null=True)
    errorCode = serializers.CharField(allow_null=True)
    userWallet = Address(allow_null=True)
    oaidTokenId = Count(allow_null=True)
    oaidTokenIdString = IdText(allow_null=True)
    loanId = serializers.CharField(allow_null=True)
    requestId = serializers.CharField()
    clientRequestId = serializers.CharField(allow_null=True, help_text="The `X-Request-Id` that the caller sent.")
    timestamp = Timestamp()


class LoggedCallPage(BoundedPage):
    """Calls, newest first."""

    logs = LoggedCall(many=True)


_CALL_EXAMPLE = {
    "partnerId": "partner_xyz_001",
    "partnerName": "XYZ Lending",
    "endpoint": "/partners/borrow",
    "method": "POST",
    "ipAddress": "203.0.113.7",
    "userAgent": "partner-sdk/1.0",
    "requestPayload": {"oaidTokenId": 123, "borrowAmount": "5000000000", "partnerLoanId": "xyz_loan_12345"},
    "statusCode": 400,
    "responseTime": 84,
    "success": False,
    "errorMessage": "Insufficient credit. Available: $3000",
    "errorCode": "insufficient_credit",
    "userWallet": "0x580F5b09765E71D64613c8F4403234f8790DD7D3",
    "oaidTokenId": 123,
    "oaidTokenIdString": "123",
    "loanId": "xyz_loan_12345",
    "requestId": "b3f0c9a27d5e4c1f8a6b2d9e7f405163",
    "clientRequestId": "7d0f6c1e-order-4711",
    "timestamp": "2026-01-05T10:30:00Z",
}

LIST_AUDIT_LOGS = OperationDoc(
    id="listAuditLogs",
    tag="Staff",
    caller=Caller.STAFF,
    is_limited=False,
    summary="Calls to the partner API, newest first",
    description="As far back as the log is kept in the database. Right: `staff.view_api_logs`.",
    query=AuditLogsQuery,
    answers=(
        returned(
            "A page of calls",
            LoggedCallPage,
            {**PAGE_EXAMPLE, "logs": [_CALL_EXAMPLE]},
            links={"NextPage": Link(operation="listAuditLogs", parameters={"cursor": "$response.body#/next"})},
        ),
    ),
)


class AuditLogsViewSet(StaffViewSet):
    """The log of calls; registered before the partners by id, of which `audit-logs` is none."""

    @action(detail=False, url_path="audit-logs", required_right=Right.VIEW_API_LOGS)
    @described(LIST_AUDIT_LOGS)
    def logs(self, request: Request) -> Response:
        """Endpoint 16."""
        query = validated(AuditLogsQuery(data=request.query_params.dict()))
        selection = LogSelection(
            partner_id=query["partnerId"],
            success=None if query["success"] is None else query["success"] == TRUE,
            endpoint=query["endpoint"],
            status_code=query["statusCode"],
            request_id=query["requestId"],
            start=query["startDate"],
            end=query["endDate"],
        )
        page = selectors.list_logs(selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"])
        return Response({**present_page(page, query), "logs": [present_logged(call) for call in page.rows]})


def present_logged(call: ApiLog) -> dict[str, object]:
    """The fields of `LoggedCall`."""
    return {
        "partnerId": call.partner_id or None,
        "partnerName": call.partner_name or None,
        "endpoint": call.endpoint,
        "method": call.method,
        "ipAddress": call.ip_address,
        "userAgent": call.user_agent or None,
        "requestPayload": call.request_payload,
        "statusCode": call.status_code,
        "responseTime": call.response_time,
        "success": call.success,
        "errorMessage": call.error_message or None,
        "errorCode": call.error_code or None,
        "userWallet": call.user_wallet or None,
        "oaidTokenId": int(call.oaid_token_id) if call.oaid_token_id else None,
        "oaidTokenIdString": call.oaid_token_id or None,
        "loanId": call.loan_id or None,
        "requestId": call.request_id,
        "clientRequestId": call.client_request_id or None,
        "timestamp": isoformat(call.timestamp),
    }
