"""A partner's own API calls, as the call log has them."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit import selectors
from audit.models import ApiLog
from audit.selectors import CallSelection
from loans.api.common import PartnerViewSet, partner_of, returned, validated
from loans.api.lists import PAGE_EXAMPLE, DaysQuery, PageFields, present_page
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Count, Timestamp
from partner_platform.core.openapi.operations import Link, OperationDoc, described
from partner_platform.core.web.serializers import DigitsField, StrictCharField


class RequestsQuery(DaysQuery):
    """`GET /partners/my/requests`."""

    requestId = StrictCharField(
        max_length=64,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `X-Request-Id` of the answer, or the one that you sent.",
    )
    statusCode = DigitsField(min_value=100, max_value=599, required=False, default=None)
    endpoint = StrictCharField(
        max_length=300,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The path without its query, exactly: `/partners/borrow`.",
    )


class LoggedRequest(serializers.Serializer):
    """A call that was made with a key of this partner's, a refused one too. No body and no header is in it."""

    requestId = serializers.CharField()
    clientRequestId = serializers.CharField(allow_null=True, help_text="The `X-Request-Id` that you sent.")
    method = serializers.CharField()
    endpoint = serializers.CharField()
    statusCode = Count()
    errorCode = serializers.CharField(allow_null=True)
    errorMessage = serializers.CharField(allow_null=True, help_text="At most 500 characters.")
    responseTime = Count(help_text="Milliseconds.")
    ipAddress = serializers.CharField(allow_null=True)
    timestamp = Timestamp()


class RequestPage(PageFields):
    """Calls, newest first."""

    requests = LoggedRequest(many=True)


REQUEST_PAGE_EXAMPLE = {
    **PAGE_EXAMPLE,
    "requests": [
        {
            "requestId": "b3f0c9a27d5e4c1f8a6b2d9e7f405163",
            "clientRequestId": "7d0f6c1e-order-4711",
            "method": "POST",
            "endpoint": "/partners/borrow",
            "statusCode": 400,
            "errorCode": "insufficient_credit",
            "errorMessage": "Insufficient credit. Available: $3000",
            "responseTime": 84,
            "ipAddress": "203.0.113.7",
            "timestamp": "2026-01-05T10:30:00Z",
        }
    ],
}

LIST_REQUESTS = OperationDoc(
    id="listRequests",
    tag="Reports",
    summary="This partner's own API calls of the last 30 days, newest first",
    description="Each call with a key of yours, a refused one too, once it is answered.",
    query=RequestsQuery,
    answers=(
        returned(
            "A page of calls",
            RequestPage,
            REQUEST_PAGE_EXAMPLE,
            links={"NextPage": Link(operation="listRequests", parameters={"cursor": "$response.body#/next"})},
        ),
    ),
    errors=(ErrorCode.INVALID_REQUEST,),
)


class RequestsViewSet(PartnerViewSet):
    """The partner's own calls."""

    @action(detail=False, url_path="my/requests")
    @described(LIST_REQUESTS)
    def requests(self, request: Request) -> Response:
        """A page of the calls that the filters select."""
        query = validated(RequestsQuery(data=request.query_params.dict()))
        selection = CallSelection(
            partner_id=partner_of(request).partner_id,
            request_id=query["requestId"],
            status_code=query["statusCode"],
            endpoint=query["endpoint"],
            start=query["startDate"],
            end=query["endDate"],
        )
        page = selectors.list_own_calls(selection, limit=query["limit"], offset=query["offset"], cursor=query["cursor"])
        return Response({**present_page(page, query), "requests": [present_call(call) for call in page.rows]})


def present_call(call: ApiLog) -> dict[str, object]:
    """The fields of `LoggedRequest`: of the log's row neither what was sent nor who was found to be asking."""
    return {
        "requestId": call.request_id,
        "clientRequestId": call.client_request_id or None,
        "method": call.method,
        "endpoint": call.endpoint,
        "statusCode": call.status_code,
        "errorCode": call.error_code or None,
        "errorMessage": call.error_message or None,
        "responseTime": call.response_time,
        "ipAddress": call.ip_address,
        "timestamp": isoformat(call.timestamp),
    }
