"""An endpoint's documentation for the schema, beside the serializers that it validates with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from rest_framework.serializers import BaseSerializer

from partner_platform.core.errors import ErrorCode

JSON = "application/json"
CSV = "text/csv"

View = TypeVar("View", bound=Callable[..., Any])
Serializer = type[BaseSerializer[Any]]


class Caller(Enum):
    """Who may call."""

    ANYBODY = "anybody"
    PARTNER = "partner"
    STAFF = "staff"
    SIGNED_IN = "signed in"  # of staff, with whatever rights


# What every endpoint with an API key can answer, before it looks at what is asked (`partners.access.authentication`).
PARTNER_ERRORS = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNSUPPORTED_API_VERSION,
    ErrorCode.MISSING_API_KEY,
    ErrorCode.INVALID_API_KEY,
    ErrorCode.EXPIRED_API_KEY,
    ErrorCode.WRONG_ENVIRONMENT,
    ErrorCode.MISSING_SIGNATURE,
    ErrorCode.INVALID_SIGNATURE,
    ErrorCode.REQUEST_EXPIRED,
    ErrorCode.REPLAYED_SIGNATURE,
    ErrorCode.PARTNER_NOT_ACTIVE,
    ErrorCode.IP_NOT_ALLOWED,
    ErrorCode.MISSING_SCOPE,
    ErrorCode.RATE_LIMITED,
    ErrorCode.ADDRESS_RATE_LIMITED,
    ErrorCode.CONCURRENCY_LIMITED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.DATABASE_UNAVAILABLE,
)
# The same of an endpoint with an access token (`staff.access`).
STAFF_ERRORS = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNSUPPORTED_API_VERSION,
    ErrorCode.MISSING_TOKEN,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.EXPIRED_TOKEN,
    ErrorCode.RIGHT_MISSING,
    ErrorCode.ADDRESS_RATE_LIMITED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.DATABASE_UNAVAILABLE,
)
SIGNED_IN_ERRORS = tuple(code for code in STAFF_ERRORS if code != ErrorCode.RIGHT_MISSING)
PUBLIC_ERRORS = (ErrorCode.RATE_LIMITED, ErrorCode.ADDRESS_RATE_LIMITED, ErrorCode.INTERNAL_ERROR)
BODY_ERRORS = (ErrorCode.INVALID_REQUEST, ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
IDEMPOTENCY_ERRORS = (ErrorCode.IDEMPOTENCY_KEY_IN_USE, ErrorCode.IDEMPOTENCY_KEY_REUSED)


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a client can do next with a response: `parameters` and `body` hold OpenAPI runtime expressions."""

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class ResponseDoc:
    """A successful response: its body (a serializer, or a JSON Schema; None: there is none) and an example of it."""

    status: int
    when: str
    body: Serializer | dict[str, Any] | None
    example: Any
    media_type: str = JSON
    headers: tuple[str, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OperationDoc:
    """One method of one path. `errors` are those in addition to `PARTNER_ERRORS`, `STAFF_ERRORS` or `PUBLIC_ERRORS`."""

    id: str
    tag: str
    summary: str
    description: str = ""
    caller: Caller = Caller.PARTNER
    is_limited: bool = True
    path: Serializer | None = None
    query: Serializer | None = None
    body: Serializer | None = None
    is_body_required: bool = True
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    answers: tuple[ResponseDoc, ...]
    errors: tuple[ErrorCode, ...] = ()

    @property
    def all_errors(self) -> tuple[ErrorCode, ...]:
        """Every error code that the operation can return, each once."""
        of_callers = {
            Caller.PARTNER: PARTNER_ERRORS,
            Caller.STAFF: STAFF_ERRORS,
            Caller.SIGNED_IN: SIGNED_IN_ERRORS,
        }
        common = of_callers.get(self.caller, PUBLIC_ERRORS if self.is_limited else ())
        return tuple(dict.fromkeys((*common, *self.errors)))


def operation_of(view: object, method: str) -> OperationDoc | None:
    """The documentation of the view's method; None where it has no such method."""
    name = getattr(view, "action", None) or method.lower().replace("head", "get")
    return getattr(getattr(view, name, None), "operation", None)


def camel(name: str) -> str:
    """`partner_loan_id` as the contract writes it: `partnerLoanId`."""
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def described(operation: OperationDoc) -> Callable[[View], View]:
    """Attach an `OperationDoc` to a view's method."""

    def put(view: View) -> View:
        view.operation = operation  # type: ignore[attr-defined]
        return view

    return put
