"""Every error a caller can see: one base, one stable code each.

    PlatformError
    ├── BadRequest (400)
    ├── Unauthorized (401)
    ├── Forbidden (403)
    ├── NotFound (404)
    ├── Conflict (409)
    ├── Gone (410)
    ├── PayloadTooLarge (413)
    ├── Unprocessable (422)
    ├── TooManyRequests (429)
    └── Unavailable (503)

`ErrorCode` lists the codes; they are part of the HTTP contract and never change their meaning.
Source: docs/api.md, Errors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

# The connection may have been lost in a commit that was done, or in a read after it: the outcome is unknown.
OUTCOME_UNKNOWN = (
    "The database cannot be reached. Whether this request was accepted is not known: to ask again with the same "
    "Idempotency-Key is safe and finds out, for a borrow also to ask again with the same partnerLoanId. A repayment "
    "without a key must not be repeated unread: read the loan first"
)


# The codes that `errors[].code` may have beside `invalid`, which is everything else: part of the HTTP contract.
PROBLEM_CODES = frozenset(
    {
        *("required", "null", "blank", "unknown_field", "repeated", "invalid_choice"),
        *("min_value", "max_value", "max_length", "parse_error"),
    }
)
OF_THE_WHOLE = "non_field_errors"  # DRF's name for errors of an object as a whole


class ErrorCode(StrEnum):
    """The stable `code` of an error answer."""

    INVALID_REQUEST = "invalid_request"
    LOAN_BELOW_MINIMUM = "loan_below_minimum"
    UNSUPPORTED_API_VERSION = "unsupported_api_version"
    CREDIT_LINE_INACTIVE = "credit_line_inactive"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    NO_ACTIVE_POSITION = "no_active_position"
    LOAN_NOT_REPAYABLE = "loan_not_repayable"
    LOAN_ALREADY_REPAID = "loan_already_repaid"
    REPAYMENT_EXCEEDS_DEBT = "repayment_exceeds_debt"
    REPAYMENT_NOT_FUNDED = "repayment_not_funded"
    TRANSFER_NOT_FOUND = "transfer_not_found"
    TRANSFER_REVERTED = "transfer_reverted"
    TRANSFER_UNCONFIRMED = "transfer_unconfirmed"
    TRANSFER_NOT_TO_PLATFORM = "transfer_not_to_platform"
    TRANSFER_REORGED = "transfer_reorged"
    TRANSFER_ALREADY_USED = "transfer_already_used"
    TRANSFER_INSUFFICIENT = "transfer_insufficient"
    SETTLEMENT_FAILED = "settlement_failed"
    MISSING_API_KEY = "missing_api_key"
    INVALID_API_KEY = "invalid_api_key"
    EXPIRED_API_KEY = "expired_api_key"
    WRONG_ENVIRONMENT = "wrong_environment"
    IP_NOT_ALLOWED = "ip_not_allowed"
    MISSING_SIGNATURE = "missing_signature"
    INVALID_SIGNATURE = "invalid_signature"
    REQUEST_EXPIRED = "request_expired"
    REPLAYED_SIGNATURE = "replayed_signature"
    MISSING_TOKEN = "missing_token"  # noqa: S105 - the name of an error
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of an error
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of an error
    MISSING_SCOPE = "missing_scope"
    BORROWING_PAUSED = "borrowing_paused"
    WALLET_REFUSED = "wallet_refused"
    WALLET_NOT_BLOCKED = "wallet_not_blocked"
    SCREENING_UNAVAILABLE = "screening_unavailable"
    PARTNER_NOT_ACTIVE = "partner_not_active"
    CONSENT_REQUIRED = "consent_required"
    CONSENT_EXPIRED = "consent_expired"
    CONSENT_INVALID = "consent_invalid"
    CONSENT_USED = "consent_used"
    NOT_OAID_OWNER = "not_oaid_owner"
    DAILY_LIMIT_EXCEEDED = "daily_limit_exceeded"
    TOTAL_LIMIT_EXCEEDED = "total_limit_exceeded"
    PERMISSION_DENIED = "permission_denied"
    RIGHT_MISSING = "right_missing"
    NOT_FOUND = "not_found"
    OAID_NOT_FOUND = "oaid_not_found"
    POSITION_NOT_FOUND = "position_not_found"
    LOAN_NOT_FOUND = "loan_not_found"
    REPAYMENT_NOT_FOUND = "repayment_not_found"
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    DELIVERY_NOT_FOUND = "delivery_not_found"
    API_KEY_NOT_FOUND = "api_key_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    POSITION_HAS_LOAN = "position_has_loan"
    POSITION_FROZEN = "position_frozen"
    DUPLICATE_LOAN_ID = "duplicate_loan_id"
    REPAYMENT_IN_PROGRESS = "repayment_in_progress"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    DUPLICATE_ENDPOINT = "duplicate_endpoint"
    ENDPOINT_DISABLED = "endpoint_disabled"
    EVENT_EXPIRED = "event_expired"
    TOO_MANY_API_KEYS = "too_many_api_keys"
    API_KEY_REPLACED = "api_key_replaced"
    LAST_API_KEY = "last_api_key"
    IDEMPOTENCY_KEY_IN_USE = "idempotency_key_in_use"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    CURSOR_EXPIRED = "cursor_expired"
    REQUEST_TIMEOUT = "request_timeout"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    URI_TOO_LONG = "uri_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    ENCODING_NOT_SUPPORTED = "encoding_not_supported"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RATE_LIMITED = "rate_limited"
    ADDRESS_RATE_LIMITED = "address_rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    INTERNAL_ERROR = "internal_error"
    CHAIN_UNAVAILABLE = "chain_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    QUEUE_UNAVAILABLE = "queue_unavailable"
    OVERLOADED = "overloaded"
    SERVICE_UNAVAILABLE = "service_unavailable"


class PlatformError(Exception):
    """An error with an HTTP status, a stable code and data for the caller.

    `details` holds JSON values only; amounts in it are strings of base units. `retry_after` is in seconds.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after
        self.retryable = retry_after is not None  # the same request may succeed later, unchanged


class BadRequest(PlatformError):
    status = HTTPStatus.BAD_REQUEST


class Unauthorized(PlatformError):
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(PlatformError):
    status = HTTPStatus.FORBIDDEN


class NotFound(PlatformError):
    status = HTTPStatus.NOT_FOUND


class Conflict(PlatformError):
    status = HTTPStatus.CONFLICT


class Gone(PlatformError):
    status = HTTPStatus.GONE


class PayloadTooLarge(PlatformError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unprocessable(PlatformError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequests(PlatformError):
    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(PlatformError):
    """A dependency cannot be reached; the caller may try again.

    Where it is certain that this request changed nothing, the message says so; an earlier request without a response
    may still have. Where a commit's outcome is unknown, it says that a retry is safe.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, code: ErrorCode, message: str, *, retry_after: int = 2, **kwargs: Any) -> None:
        super().__init__(code, message, retry_after=retry_after, **kwargs)


@dataclass(frozen=True)
class FieldError:
    """One problem of one field: its dotted path, a stable code (`required`, `min_value`, …) and the sentence."""

    field: str
    code: str
    message: str


def invalid_fields(fields: dict[str, Any]) -> BadRequest:
    """400 `invalid_request` whose message and `details` name the fields: `{"borrowAmount": ["…"]}`.

    A problem is a text, or DRF's `ErrorDetail`, which has a code; a plain text has the code `invalid`.
    """
    firsts: dict[str, str] = {}
    for error in field_errors(fields):
        firsts.setdefault(error.field, f"{error.field}: {error.message}")
    *others, last = list(firsts.values()) or ["Invalid request"]
    summary = "; ".join([*(sentence.rstrip(".") for sentence in others), last])
    return BadRequest(ErrorCode.INVALID_REQUEST, summary, details=fields)


def field_errors(details: Mapping[str, object]) -> list[FieldError]:
    """Every problem that the `details` of an `invalid_request` name, in their order."""
    return [FieldError(field, _code_of(problem), str(problem)) for field, problem in _problems("", details)]


def _problems(path: str, found: object) -> Iterator[tuple[str, object]]:
    """`userAuthorization.nonce` with each of its problems; an item of a list has its place: `eventTypes.0`."""
    if isinstance(found, dict):
        for name, within in found.items():
            is_whole = name == OF_THE_WHOLE and path
            yield from _problems(path if is_whole else f"{path}.{name}".removeprefix("."), within)
    elif isinstance(found, list | tuple):
        for place, item in enumerate(found):
            yield from _problems(f"{path}.{place}" if isinstance(item, dict) else path, item)
    else:
        yield path, found


def _code_of(problem: object) -> str:
    code = str(getattr(problem, "code", None))  # DRF's, which has more of them and may get others
    return code if code in PROBLEM_CODES else "invalid"
