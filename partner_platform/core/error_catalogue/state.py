"""The codes from status 404 on: what does not exist, conflicts, too much of something, and what is down."""

from http import HTTPStatus

from partner_platform.core.error_catalogue.entry import Entry
from partner_platform.core.errors import OUTCOME_UNKNOWN, ErrorCode

STATE: dict[ErrorCode, Entry] = {
    ErrorCode.NOT_FOUND: Entry(HTTPStatus.NOT_FOUND, "there is no such path", "Not found"),
    ErrorCode.OAID_NOT_FOUND: Entry(HTTPStatus.NOT_FOUND, "the OAID was never minted", "OAID 123 does not exist"),
    ErrorCode.POSITION_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "the position was never opened", "Position 42 does not exist"
    ),
    ErrorCode.LOAN_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "this partner has no such loan; another partner may", "Loan not found"
    ),
    ErrorCode.REPAYMENT_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "this partner made no such repayment; another partner may have", "Repayment not found"
    ),
    ErrorCode.ENDPOINT_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "this partner has no such webhook endpoint, or deleted it", "Webhook endpoint not found"
    ),
    ErrorCode.DELIVERY_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "this partner has no such delivery", "Delivery not found"
    ),
    ErrorCode.API_KEY_NOT_FOUND: Entry(
        HTTPStatus.NOT_FOUND, "this partner has no such key that is live", "API key not found"
    ),
    ErrorCode.WALLET_NOT_BLOCKED: Entry(
        HTTPStatus.NOT_FOUND, "the wallet is not on the block list", "The wallet is not on the block list"
    ),
    ErrorCode.METHOD_NOT_ALLOWED: Entry(
        HTTPStatus.METHOD_NOT_ALLOWED, "the path does not take this method", 'Method "PUT" not allowed.'
    ),
    ErrorCode.NOT_ACCEPTABLE: Entry(
        HTTPStatus.NOT_ACCEPTABLE,
        "the path cannot answer in any form the caller accepts",
        "Could not satisfy the request Accept header.",
    ),
    ErrorCode.REQUEST_TIMEOUT: Entry(
        HTTPStatus.REQUEST_TIMEOUT,
        "the request did not come whole within 20 seconds; it changed nothing",
        "The request did not come whole within 20 seconds; it changed nothing",
        retry_after=1,
    ),
    ErrorCode.DUPLICATE_LOAN_ID: Entry(
        HTTPStatus.CONFLICT, "the `partnerLoanId` was used before", "Partner loan ID already exists"
    ),
    ErrorCode.POSITION_FROZEN: Entry(
        HTTPStatus.CONFLICT,
        "the position is under review by us; no loan can be drawn on it now",
        "The position is under review; no loan can be drawn on it now",
    ),
    ErrorCode.REPAYMENT_IN_PROGRESS: Entry(
        HTTPStatus.CONFLICT,
        "another repayment of the loan is being settled",
        "Another repayment of this loan is being settled",
        retry_after=1,
    ),
    ErrorCode.CONSENT_USED: Entry(
        HTTPStatus.CONFLICT,
        "the nonce of the `userAuthorization` was used before",
        "The nonce of the user's authorization was used before",
    ),
    ErrorCode.TOO_MANY_ENDPOINTS: Entry(
        HTTPStatus.CONFLICT,
        "the partner has as many webhook endpoints as it may",
        "A partner has at most 10 webhook endpoints; delete one first",
        {"maximum": 10},
    ),
    ErrorCode.DUPLICATE_ENDPOINT: Entry(
        HTTPStatus.CONFLICT,
        "another webhook endpoint of the partner has this URL; `details.endpointId` is that one",
        "Another endpoint of yours has this URL",
        {"endpointId": "3d4c1f9a-7b52-4f0e-8e61-5a2f9c7d1b08"},
    ),
    ErrorCode.ENDPOINT_DISABLED: Entry(
        HTTPStatus.CONFLICT,
        "the webhook endpoint is disabled; `details.reason` is why",
        "The endpoint is disabled: enable it first",
        {"reason": "You disabled it"},
    ),
    ErrorCode.EVENT_EXPIRED: Entry(
        HTTPStatus.CONFLICT,
        "the event was deleted by its age",
        "The event was deleted by its age and cannot be sent again",
    ),
    ErrorCode.TOO_MANY_API_KEYS: Entry(
        HTTPStatus.CONFLICT,
        "the partner would have more live keys than it may",
        "2 keys would stay live beside the new one; delete one, or rotate without a grace period",
        {"maximum": 2},
    ),
    ErrorCode.API_KEY_REPLACED: Entry(
        HTTPStatus.CONFLICT,
        "the key ends, and a newer one is live",
        "This key ends, and a newer one is live: rotate with that one",
    ),
    ErrorCode.LAST_API_KEY: Entry(
        HTTPStatus.CONFLICT,
        "the key is the only one that is live",
        "This is your only live key: rotate it instead",
    ),
    ErrorCode.IDEMPOTENCY_KEY_IN_USE: Entry(
        HTTPStatus.CONFLICT,
        "the first request with this `Idempotency-Key` is still being answered",
        "A request with this Idempotency-Key is still being answered",
        retry_after=1,
    ),
    ErrorCode.CURSOR_EXPIRED: Entry(
        HTTPStatus.GONE,
        "events after this cursor were deleted by their age; begin again without `after`, and read the loans",
        "Events after this cursor were deleted by their age: begin again without after, and read the loans",
    ),
    ErrorCode.PAYLOAD_TOO_LARGE: Entry(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 64 KiB", "The body is larger than 64 KiB"
    ),
    ErrorCode.URI_TOO_LONG: Entry(
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "method, path and query are longer than 8 KiB",
        "Method, path and query are longer than 8 KiB",
    ),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: Entry(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "the body is not sent as `application/json`",
        'Unsupported media type "text/plain" in request: send application/json',
        {"Content-Type": ["Must be application/json."]},
    ),
    ErrorCode.IDEMPOTENCY_KEY_REUSED: Entry(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "the `Idempotency-Key` was used for a request with another body",
        "This Idempotency-Key was used for a request with another body",
    ),
    ErrorCode.RATE_LIMITED: Entry(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many calls came within a minute",
        "Rate limit exceeded: 100 requests a minute",
        retry_after=7,
    ),
    ErrorCode.ADDRESS_RATE_LIMITED: Entry(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many calls of the client address, or of all unknown callers, were refused within a minute; calls with a "
        "valid API key still pass",
        "Too many calls without a valid API key were refused; calls with one still pass",
        retry_after=7,
    ),
    ErrorCode.CONCURRENCY_LIMITED: Entry(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many calls of the partner are being answered at this moment; the request changed nothing",
        "Too many of your calls are being answered at this moment",
        retry_after=1,
    ),
    ErrorCode.HEADERS_TOO_LARGE: Entry(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the headers are larger than 16 KiB",
        "The headers are larger than 16 KiB",
    ),
    ErrorCode.INTERNAL_ERROR: Entry(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "it is our bug; tell us the `requestId`. Retryable where it had an `Idempotency-Key`, which "
        "finds out what became of it",
        "Internal server error",
    ),
    ErrorCode.ENCODING_NOT_SUPPORTED: Entry(
        HTTPStatus.NOT_IMPLEMENTED,
        "the body is sent with a `Transfer-Encoding` other than `chunked`",
        "Of transfer encodings only chunked is supported",
    ),
    ErrorCode.BORROWING_PAUSED: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the platform takes no new borrows for now; repayments are taken, and the request changed nothing",
        "New borrows are paused. Repayments are taken, and loans that were accepted are settled",
        retry_after=60,
    ),
    ErrorCode.SCREENING_UNAVAILABLE: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the service that screens wallets cannot be reached; the request changed nothing",
        "The wallet cannot be checked now; this request reserved nothing",
        retry_after=5,
    ),
    ErrorCode.CHAIN_UNAVAILABLE: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the chain cannot be reached; the request changed nothing",
        "No node answers a reading",
        retry_after=2,
    ),
    ErrorCode.DATABASE_UNAVAILABLE: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the database cannot be reached; whether the request was accepted is not known, and to ask again with the same "
        "`Idempotency-Key` is safe and finds out, for a borrow also to ask again with the same `partnerLoanId`; a "
        "repayment without a key is not retryable: it must not be repeated unread",
        OUTCOME_UNKNOWN,
        retry_after=2,
    ),
    ErrorCode.QUEUE_UNAVAILABLE: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "settlement is not available; the request changed nothing",
        "Settlement is not available; this request changed nothing",
        retry_after=2,
    ),
    ErrorCode.OVERLOADED: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "more calls without a key, or with new keys, come than can be answered; the request changed nothing",
        "Too many calls at once; this request changed nothing",
        retry_after=1,
    ),
    ErrorCode.SERVICE_UNAVAILABLE: Entry(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the platform does not answer the proxy before it; whether the request was accepted is not known, as with "
        "`database_unavailable`",
        "The service cannot be reached. Whether this request was accepted is not known: see Idempotency",
        retry_after=2,
    ),
}
