"""Every `ErrorCode` with its status, when it is returned and an example: the source of docs, OpenAPI schema and SDKs.

The order is that of docs/api.md, whose table a test compares with this one; another test compares the statuses with the
code that raises the errors. One module for each group of statuses.
"""

from partner_platform.core.error_catalogue.access import ACCESS
from partner_platform.core.error_catalogue.entry import Entry
from partner_platform.core.error_catalogue.invalid_requests import INVALID_REQUESTS
from partner_platform.core.error_catalogue.state import STATE
from partner_platform.core.errors import ErrorCode, field_errors

CATALOGUE: dict[ErrorCode, Entry] = {**INVALID_REQUESTS, **ACCESS, **STATE}


def example_of(code: ErrorCode) -> dict[str, object]:
    """An error's body, as `exception_handler.envelope` makes it."""
    entry = CATALOGUE[code]
    body: dict[str, object] = {
        "success": False,
        "statusCode": int(entry.status),
        "error": entry.status.phrase,
        "message": entry.message,
        "code": str(code),
        "requestId": "b3f0c9a27d5e4c1f8a6b2d9e7f405163",
        "retryable": entry.retry_after is not None,
        "details": entry.details,
    }
    if code != ErrorCode.INVALID_REQUEST:
        return body
    return {**body, "errors": [vars(problem) for problem in field_errors(entry.details)]}
