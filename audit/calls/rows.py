"""Builds the `ApiLog` row from a request and its response. Source: plan, PartnerApiLog schema."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError

from audit.calls.client_address import client_address
from audit.calls.sanitizing import clean_text, sanitize
from audit.models import ApiLog
from audit.selectors import is_success
from partner_platform.core.ethereum import parse_address
from partner_platform.core.text import json_text
from partner_platform.core.web.middleware import MAX_BODY_BYTES

_IN_PATH = {
    "oaid_token_id": re.compile(r"^/partners/public/oaid/([0-9]{1,78})(?:/|$)", re.ASCII),
    "user_wallet": re.compile(r"^/partners/user/(0x[0-9a-fA-F]{40})(?:/|$)", re.ASCII),
    "loan_id": re.compile(r"^/partners/loan/([A-Za-z0-9_-]{1,64})(?:/|$)", re.ASCII),
}
_IN_PAYLOAD = {"oaid_token_id": "oaidTokenId", "user_wallet": "userWallet", "loan_id": "partnerLoanId"}


def read_body(request: HttpRequest) -> bytes:
    """The request's body, read early so that all can read it again; empty where it is too large or cannot be read."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return b""
    if not 0 < length <= MAX_BODY_BYTES:
        return b""  # what is too large is refused unread
    try:
        return request.body
    except UnreadablePostError:
        return b""  # the caller hung up


def describe(request: HttpRequest, response: HttpResponse, body: bytes, milliseconds: int) -> ApiLog:
    """The unsaved row of one call."""
    partner: Any = getattr(request, "api_partner", None)
    payload = _unread(body) if _is_refused_stranger(partner, response) else _payload(request, body)
    error_code, error_message = _error(request, response)
    meta = request.META
    return ApiLog(
        partner_id=partner.partner_id if partner else "",
        partner_name=partner.partner_name if partner else "",
        endpoint=clean_text(request.path, 300),
        method=clean_text(request.method, 10),
        ip_address=client_address(meta, settings.TRUSTED_PROXIES),
        user_agent=clean_text(meta.get("HTTP_USER_AGENT", ""), 300),
        request_payload=sanitize(payload),
        status_code=response.status_code,
        response_time=milliseconds,
        success=is_success(response.status_code),
        error_message=clean_text(error_message, 500),
        error_code=clean_text(error_code, 50),
        request_id=clean_text(getattr(request, "request_id", ""), 64),
        client_request_id=clean_text(getattr(request, "client_request_id", ""), 64),
        **_subjects(request.path, payload),
    )


def _is_refused_stranger(partner: object, response: HttpResponse) -> bool:
    """Whether an unauthenticated call was refused: its body is neither decoded nor stored."""
    return partner is None and 400 <= response.status_code < 500


def _unread(body: bytes) -> object:
    return {"_unread": f"{len(body)} bytes"} if body else None


def _payload(request: HttpRequest, body: bytes) -> object:
    """The JSON of the body; without one, the query's values; None where there is neither."""
    if not body:
        return _query(request) or None
    try:
        return json_text.loads(body)
    except ValueError:
        return {"_invalid": f"{len(body)} bytes that are not JSON"}


def _query(request: HttpRequest) -> object:
    try:
        return {name: values[0] if len(values) == 1 else values for name, values in request.GET.lists()}
    except TooManyFieldsSent:
        return {"_invalid": f"{len(request.META.get('QUERY_STRING', ''))} bytes of too many parameters"}


def _error(request: HttpRequest, response: HttpResponse) -> tuple[str, str]:
    """Code and message: of the error that was raised, else from the response's envelope (unknown paths, bugs)."""
    if response.status_code < 400:
        return "", ""
    error: Any = getattr(request, "platform_error", None)
    if error is not None:
        return str(error.code), error.message
    try:
        answer = json_text.loads(response.content) if not response.streaming else {}
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    return str(answer.get("code", "")), str(answer.get("message") or response.reason_phrase)


def _subjects(path: str, payload: object) -> dict[str, str]:
    """The OAID, wallet and loan a call is about, by path or payload; what is malformed is left out."""
    given = payload if isinstance(payload, dict) else {}
    found = {name: given.get(api_name) for name, api_name in _IN_PAYLOAD.items()}
    for name, pattern in _IN_PATH.items():
        if match := pattern.match(path):
            found[name] = match[1]
    return {
        "oaid_token_id": _token_id(found["oaid_token_id"]),
        "user_wallet": _wallet(found["user_wallet"]),
        "loan_id": clean_text(found["loan_id"], 64) if isinstance(found["loan_id"], str) else "",
    }


def _token_id(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**256:
        return str(value)
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78
    return value if is_number else ""


def _wallet(value: object) -> str:
    try:
        return parse_address(value)
    except ValueError:
        return ""
