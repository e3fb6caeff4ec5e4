"""Every error is returned in one envelope: PlatformError, DRF's own, lost databases, bugs, unknown paths."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from partner_platform.core.database import transactions
from partner_platform.core.errors import (
    OUTCOME_UNKNOWN,
    ErrorCode,
    NotFound,
    PayloadTooLarge,
    PlatformError,
    Unavailable,
    field_errors,
    invalid_fields,
)
from partner_platform.core.postponed import Postponed
from partner_platform.core.secrets.masking import mask_json, mask_keys
from partner_platform.core.web import repeating

logger = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_DRF_CODES: dict[type[drf.APIException], ErrorCode] = {
    drf.NotFound: ErrorCode.NOT_FOUND,
    drf.MethodNotAllowed: ErrorCode.METHOD_NOT_ALLOWED,
    drf.NotAcceptable: ErrorCode.NOT_ACCEPTABLE,
    drf.UnsupportedMediaType: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    drf.ParseError: ErrorCode.INVALID_REQUEST,
    drf.NotAuthenticated: ErrorCode.MISSING_API_KEY,
    drf.AuthenticationFailed: ErrorCode.INVALID_API_KEY,
    drf.PermissionDenied: ErrorCode.PERMISSION_DENIED,
}


def envelope(error: PlatformError, request_id: str) -> dict[str, object]:
    """The body of an error answer (docs/api.md, Errors)."""
    body = {
        "success": False,
        "statusCode": int(error.status),
        "error": HTTPStatus(error.status).phrase,
        "message": mask_keys(error.message),
        "code": str(error.code),
        "requestId": request_id,
        "retryable": error.retryable,
        "details": mask_json(error.details),
    }
    if error.code == ErrorCode.INVALID_REQUEST:
        body["errors"] = [mask_json(vars(problem)) for problem in field_errors(error.details)]
    return body


def handle_exception(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's `EXCEPTION_HANDLER`: whatever a view raises becomes the envelope; what is postponed is a 202."""
    if isinstance(exc, Postponed):
        return Response(exc.answer, status=int(HTTPStatus.ACCEPTED))
    request = context["request"]
    error = as_platform_error(exc, only_reads=request.method in _READING)
    repeating.mark_retryable(error, context)
    request._request.platform_error = error  # noqa: SLF001 - the middleware sees Django's request, not DRF's
    response = Response(envelope(error, request_id_of(request)), status=int(error.status))
    for name, value in headers_of(error).items():
        response[name] = value
    return response


def as_platform_error(exc: Exception, *, only_reads: bool = False) -> PlatformError:  # noqa: PLR0911 - a table of kinds
    """Classify an exception: what the caller may know, what can be retried, and what is our bug (logged, returned as a
    bare 500).

    `only_reads`: the request cannot have changed anything.
    """
    if isinstance(exc, PlatformError):
        return exc
    if isinstance(exc, drf.ValidationError):
        return invalid_fields(exc.detail if isinstance(exc.detail, dict) else {"body": exc.detail})
    if isinstance(exc, RequestDataTooBig):
        return PayloadTooLarge(ErrorCode.PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB")
    if isinstance(exc, TooManyFieldsSent):
        return invalid_fields({"request": ["Has more than 1000 parameters."]})
    if isinstance(exc, Http404):
        return NotFound(ErrorCode.NOT_FOUND, "Not found")
    if isinstance(exc, drf.APIException):
        return _from_drf(exc)
    if transactions.is_unavailable(exc):
        logger.error("database unavailable: %s", exc)
        return Unavailable(
            ErrorCode.DATABASE_UNAVAILABLE, "The database cannot be reached" if only_reads else OUTCOME_UNKNOWN
        )
    logger.error("unhandled error", exc_info=exc)
    return PlatformError(ErrorCode.INTERNAL_ERROR, "Internal server error")


def _from_drf(exc: drf.APIException) -> PlatformError:
    code = next((code for kind, code in _DRF_CODES.items() if isinstance(exc, kind)), ErrorCode.INVALID_REQUEST)
    error = PlatformError(code, str(exc.detail))
    if code == ErrorCode.UNSUPPORTED_MEDIA_TYPE:
        error.message = f"{error.message.rstrip('.')}: send application/json"
        error.details = {"Content-Type": ["Must be application/json."]}
    elif isinstance(exc, drf.ParseError):
        error.details = {"body": [exc.detail]}
    error.status = HTTPStatus(exc.status_code)
    return error


def headers_of(error: PlatformError) -> dict[str, str]:
    """The headers of a response with this error."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def request_id_of(request: object) -> str:
    """The request's id as the middleware set it."""
    return str(getattr(request, "request_id", ""))


def refused(request: HttpRequest, error: PlatformError) -> JsonResponse:
    """A middleware's refusal, in the envelope; put on the request for the call log."""
    request.platform_error = error  # type: ignore[attr-defined]
    return JsonResponse(envelope(error, request_id_of(request)), status=int(error.status), headers=headers_of(error))


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's `handler404`, in the envelope."""
    error = NotFound(ErrorCode.NOT_FOUND, "Not found")
    return JsonResponse(envelope(error, request_id_of(request)), status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's `handler500`, in the envelope; never a trace."""
    error = PlatformError(ErrorCode.INTERNAL_ERROR, "Internal server error")
    return JsonResponse(envelope(error, request_id_of(request)), status=500)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's `handler400` (a malformed host or multipart body), in the envelope."""
    error = invalid_fields({"request": "Malformed request"})
    return JsonResponse(envelope(error, request_id_of(request)), status=400)
