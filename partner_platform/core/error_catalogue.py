"""Every `ErrorCode` with its status, when it is answered and an example: what docs, OpenAPI schema and SDKs tell.

The order is that of docs/api.md, whose table a test holds against this one; another test holds the statuses against
the code that raises the errors.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from partner_platform.core.errors import OUTCOME_UNKNOWN, ErrorCode


@dataclass(frozen=True)
class Entry:
    """`when` is a sentence's end ("… when"); `retry_after` in seconds, None where trying again unchanged is no use."""

    status: HTTPStatus
    when: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retry_after: int | None = None


_ADDRESS = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
_FUNDS = {
    "amount": "5000000000",
    "token": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "settlementAddress": _ADDRESS,
    "platformAccount": "0x580F5b09765E71D64613c8F4403234f8790DD7D3",
    "settlementBalance": "0",
    "settlementAllowance": "0",
}


def _transfer(when: str, problem: str, *, retry_after: int | None = None, **details: str) -> Entry:
    """A refusal of the transfer that should fund a repayment."""
    told = {"repaymentTxHash": [problem], **details}
    return Entry(HTTPStatus.BAD_REQUEST, when, f"repaymentTxHash: {problem}", told, retry_after)


CATALOGUE: dict[ErrorCode, Entry] = {
    ErrorCode.INVALID_REQUEST: Entry(
        HTTPStatus.BAD_REQUEST,
        "a field, a header or the JSON is not valid; `details` has each problem by field",
        "borrowAmount: Must be from 1 to 9223372036854775807 base units.",
        {"borrowAmount": ["Must be from 1 to 9223372036854775807 base units."]},
    ),
    ErrorCode.UNSUPPORTED_API_VERSION: Entry(
        HTTPStatus.BAD_REQUEST,
        "the `API-Version` that the call names is not supported; `details.supported` lists those that are",
        "This API-Version is not supported. Supported: 2026-01-05",
        {"supported": ["2026-01-05"]},
    ),
    ErrorCode.LOAN_BELOW_MINIMUM: Entry(
        HTTPStatus.BAD_REQUEST,
        "the amount is less than the smallest loan; `details.minimum` is that one",
        "The smallest loan is $1",
        {"minimum": "1000000"},
    ),
    ErrorCode.CREDIT_LINE_INACTIVE: Entry(
        HTTPStatus.BAD_REQUEST, "the OAID's credit line is not active", "OAID credit line is not active"
    ),
    ErrorCode.INSUFFICIENT_CREDIT: Entry(
        HTTPStatus.BAD_REQUEST,
        "the credit line has less left; `details.availableCredit` is what is left",
        "Insufficient credit. Available: $3000",
        {"availableCredit": "3000000000"},
    ),
    ErrorCode.NO_ACTIVE_POSITION: Entry(
        HTTPStatus.BAD_REQUEST,
        "no active collateral backs the OAID",
        "No active collateral position found for this OAID",
    ),
    ErrorCode.POSITION_HAS_LOAN: Entry(
        HTTPStatus.BAD_REQUEST,
        "the position takes one loan at a time, and has one that is not repaid",
        "The position has a loan that is not repaid, and takes one at a time",
        {"positionId": "42", "debt": "2000000000"},
    ),
    ErrorCode.LOAN_NOT_REPAYABLE: Entry(
        HTTPStatus.BAD_REQUEST,
        "the loan is pending (that is retryable), failed or liquidated",
        "Loan is pending and cannot be repaid",
        {"status": "PENDING"},
        retry_after=2,
    ),
    ErrorCode.LOAN_ALREADY_REPAID: Entry(
        HTTPStatus.BAD_REQUEST, "nothing is owed any more", "Loan already fully repaid"
    ),
    ErrorCode.REPAYMENT_EXCEEDS_DEBT: Entry(
        HTTPStatus.BAD_REQUEST,
        "less is owed; `details.remainingDebt` is what is owed",
        "Repayment exceeds remaining debt of $3000",
        {"remainingDebt": "3000000000"},
    ),
    ErrorCode.REPAYMENT_NOT_FUNDED: Entry(
        HTTPStatus.BAD_REQUEST,
        "neither a transfer nor an allowance pays it; `details` says where to send what",
        f"Repayment is not funded. Send $5000 USDC from {_ADDRESS} to {_FUNDS['platformAccount']} and pass its "
        "repaymentTxHash, or approve that account to pull it",
        _FUNDS,
    ),
    ErrorCode.TRANSFER_NOT_FOUND: _transfer("nobody knows the transaction", "no such transaction is mined"),
    ErrorCode.TRANSFER_UNCONFIRMED: _transfer(
        "the transaction waits, is not deep enough, or nodes disagree about it",
        "the transaction is not confirmed yet",
        retry_after=2,
    ),
    ErrorCode.TRANSFER_REORGED: _transfer(
        "a reorganization replaced the transaction's block",
        "a reorganization of the chain took the transaction out of its block",
        retry_after=2,
    ),
    ErrorCode.TRANSFER_REVERTED: _transfer("the transaction reverted", "the transaction reverted"),
    ErrorCode.TRANSFER_NOT_TO_PLATFORM: _transfer(
        "the transaction moved no USDC from the settlement address to the platform account",
        "no USDC transfer from the settlement address to the platform account",
    ),
    ErrorCode.TRANSFER_ALREADY_USED: _transfer(
        "all of the transfer has paid for repayments", "all of the transfer is used", unused="0"
    ),
    ErrorCode.TRANSFER_INSUFFICIENT: _transfer(
        "less than the amount is left of the transfer; `details.unused` is what is left",
        "$40 of the transfer is not yet used",
        unused="40000000",
    ),
    ErrorCode.SETTLEMENT_FAILED: Entry(
        HTTPStatus.BAD_REQUEST,
        "the chain refused what had been accepted; `details.reason` is the chain's",
        "Loan was refused by the chain: NotOperator",
        {"internalLoanId": "7c3f4b1e-52a6-4d8e-9a58-0f6f1d0e2b11", "reason": "NotOperator"},
    ),
    ErrorCode.MISSING_API_KEY: Entry(
        HTTPStatus.UNAUTHORIZED, "no `Authorization: Bearer pk_…` was sent", "Missing API key"
    ),
    ErrorCode.INVALID_API_KEY: Entry(HTTPStatus.UNAUTHORIZED, "the key is unknown or revoked", "Invalid API key"),
    ErrorCode.EXPIRED_API_KEY: Entry(HTTPStatus.UNAUTHORIZED, "the key's time is over", "API key has expired"),
    ErrorCode.WRONG_ENVIRONMENT: Entry(
        HTTPStatus.UNAUTHORIZED,
        "a sandbox key calls live, or the reverse",
        "This API key is of the sandbox environment; this is live",
    ),
    ErrorCode.MISSING_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED,
        "this partner signs its requests, and this one is not signed",
        "This partner's requests need X-Timestamp and X-Signature",
    ),
    ErrorCode.INVALID_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED,
        "the signature is not that of this request, or of version 1 where the partner must sign version 2",
        "Invalid signature",
    ),
    ErrorCode.REQUEST_EXPIRED: Entry(
        HTTPStatus.UNAUTHORIZED, "`X-Timestamp` is more than five minutes off", "Request expired"
    ),
    ErrorCode.REPLAYED_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED, "the signature came before; each counts once", "This signature was used before"
    ),
    ErrorCode.PARTNER_NOT_ACTIVE: Entry(
        HTTPStatus.FORBIDDEN, "the partner is suspended or inactive", "Partner account is suspended"
    ),
    ErrorCode.IP_NOT_ALLOWED: Entry(
        HTTPStatus.FORBIDDEN, "the partner named its addresses, and this is none of them", "IP not whitelisted"
    ),
    ErrorCode.MISSING_SCOPE: Entry(
        HTTPStatus.FORBIDDEN,
        "the key may not do this",
        "This API key lacks the scope borrow",
        {"missingScopes": ["borrow"]},
    ),
    ErrorCode.PERMISSION_DENIED: Entry(
        HTTPStatus.FORBIDDEN,
        "whoever is signed in may not do this",
        "You do not have permission to perform this action.",
    ),
    ErrorCode.NOT_OAID_OWNER: Entry(
        HTTPStatus.FORBIDDEN, "`userWallet` does not own the OAID", "User does not own this OAID"
    ),
    ErrorCode.CONSENT_REQUIRED: Entry(
        HTTPStatus.FORBIDDEN,
        "the borrow needs the user's `userAuthorization`",
        "The user's authorization (userAuthorization) is required",
    ),
    ErrorCode.CONSENT_EXPIRED: Entry(
        HTTPStatus.FORBIDDEN, "the `userAuthorization`'s deadline passed", "The user's authorization has expired"
    ),
    ErrorCode.CONSENT_INVALID: Entry(
        HTTPStatus.FORBIDDEN,
        "the `userAuthorization` is not this wallet's, or not for this loan as it would be made; `details` names what "
        "differs",
        "The user signed another borrow; what differs: platformFee",
        {"platformFee": ["This borrow has 25000000."]},
    ),
    ErrorCode.DAILY_LIMIT_EXCEEDED: Entry(
        HTTPStatus.FORBIDDEN,
        "the partner's limit of the UTC day would be passed; `details.remaining` is what is left",
        "Partner daily limit exceeded. Remaining: $2500",
        {"remaining": "2500000000"},
    ),
    ErrorCode.TOTAL_LIMIT_EXCEEDED: Entry(
        HTTPStatus.FORBIDDEN,
        "the partner's total limit would be passed; `details.remaining` is what is left",
        "Partner total limit exceeded. Remaining: $2500",
        {"remaining": "2500000000"},
    ),
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
    ErrorCode.IDEMPOTENCY_KEY_IN_USE: Entry(
        HTTPStatus.CONFLICT,
        "the first request with this `Idempotency-Key` is still being answered",
        "A request with this Idempotency-Key is still being answered",
        retry_after=1,
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


def example_of(code: ErrorCode) -> dict[str, Any]:
    """An error's body, as `exception_handler.envelope` makes it."""
    entry = CATALOGUE[code]
    return {
        "success": False,
        "statusCode": int(entry.status),
        "error": entry.status.phrase,
        "message": entry.message,
        "code": str(code),
        "requestId": "b3f0c9a27d5e4c1f8a6b2d9e7f405163",
        "retryable": entry.retry_after is not None,
        "details": entry.details,
    }
