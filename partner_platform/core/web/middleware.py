"""Adds what every response has (request id, version, `Cache-Control`), and refuses early: paths with control
characters, bodies that are too large.
"""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from partner_platform.core import context
from partner_platform.core.errors import ErrorCode, NotFound, PayloadTooLarge
from partner_platform.core.secrets.masking import mask_keys
from partner_platform.core.web import api_versions
from partner_platform.core.web.exception_handler import refused

MAX_BODY_BYTES = 64 * 1024
PAGES_BELOW = ("/console/", "/static/")
PAGES = frozenset({"/docs", "/docs/redoc"})
SCHEMA = "/openapi.json"
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Give every request an id that no caller can choose: it is in the response, the logs and the audit entries.

    The caller's own `X-Request-Id`, if it is sane and holds no key, is on the answer as `X-Client-Request-Id`, and in
    the logs.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id, theirs = new_request_id(), sane_request_id(request.headers.get("X-Request-Id", ""))
        request.request_id, request.client_request_id = request_id, theirs  # type: ignore[attr-defined]
        with context.request_id(request_id):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        if theirs:
            response["X-Client-Request-Id"] = theirs
        return response


class NoStoreMiddleware:
    """`Cache-Control: no-store` on API responses and errors; pages, schema and static files set their own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code >= 400 or not (_is_page(request) or request.path == SCHEMA):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class ApiVersionMiddleware:
    """Every response, refusals included, names its version of the contract, and when that version ends."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not _is_page(request):
            version = getattr(request, "api_version", None) or api_versions.of_partner(None)
            for name, value in version.headers().items():
                response[name] = value
        return response


class PathMiddleware:
    """404 for a path with a control character: no path of ours holds one, and PostgreSQL raises where one is NUL."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _CONTROL_CHARACTER.search(request.path):
            return refused(request, NotFound(ErrorCode.NOT_FOUND, "Not found"))
        return self.get_response(request)


class BodySizeMiddleware:
    """Refuse bodies over 64 KiB with 413 before anything reads them, whichever web server is in front."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _content_length(request) > MAX_BODY_BYTES:
            return refused(request, PayloadTooLarge(ErrorCode.PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB"))
        return self.get_response(request)


def _is_page(request: HttpRequest) -> bool:
    return request.path in PAGES or request.path.startswith(PAGES_BELOW)


def new_request_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def sane_request_id(offered: str) -> str:
    """The caller's own id if it is safe for responses and logs, else an empty string."""
    return offered if _SANE_REQUEST_ID.fullmatch(offered) and mask_keys(offered) == offered else ""


def _content_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
