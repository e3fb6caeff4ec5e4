"""The door: who is refused again and again is turned away before anything is read, and is counted, not logged.

`RATE_LIMIT_REFUSED` refusals a minute of a client address (IPv6: of a /64) to callers that nobody authenticated are
answered, each with its row in the call log. Then the address gets 429 `address_rate_limited` without a query or a round
trip, and `audit.refused_calls` counts. A call with a key that works always passes, from that address too, for honest
partners share addresses with others (`partners.live_keys`).

An attack from many addresses stays within the limit of each. So once all refused callers together have used up the rows
that a process has for them in a minute, every call without a working key is turned away there, except to what needs no
key: it would have been refused anyway, at the cost of a query.

Two middlewares, for they must stand on both sides of the call log:

1. `TurnAwayMiddleware`, outside of it: turns away.
2. `CountRefusalsMiddleware`, inside: sees the answer, counts the refusal, and decides whether it gets a row.

What is no refusal of an unknown caller: answers below 400 and from 500, and whatever `partners.admission` let in. A
caller with a working key that fails its address or signature is counted by itself, so that nobody at the same address
can spoil its answers; these stay what they are, without a row beyond the limit.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit import refused_calls
from audit.client_address import client_address
from partner_platform.core import exception_handler, metrics
from partner_platform.core.errors import ErrorCode, TooManyRequests
from partners import live_keys
from partners.refusals import refusals, subject_of

GetResponse = Callable[[HttpRequest], HttpResponse]

# Probes and scrapes must be answered, whoever shares their address; the console counts its own logins.
EXEMPT = frozenset({"/health/live", "/health/ready", "/metrics"})
EXEMPT_BELOW = ("/console/", "/static/")
# What needs no key; a test holds it against the schema.
PUBLIC = frozenset({"/", "/openapi.json", "/docs", "/docs/redoc"})
PUBLIC_BELOW = ("/partners/public/",)

refused = metrics.counter(
    "api_refused_calls_total",
    "Calls of unknown callers that were refused: with a row in the call log, only counted, or turned away unread",
    ["record"],
)


class TurnAwayMiddleware:
    """429 for an address that is over its limit of refusals, unless the call has a key that works."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refused_calls.pending.push_due()
        if is_exempt(request.path_info):
            return self.get_response(request)
        subject = _subject(request)
        seconds = refusals.seconds_left(subject) or (0 if is_public(request.path_info) else refusals.seconds_of_all())
        if not seconds or live_keys.is_live(request):
            return self.get_response(request)
        refused.labels(record="turned_away").inc()
        refused_calls.pending.note(subject)
        return _turned_away(request, seconds)


class CountRefusalsMiddleware:
    """Counts the refusals of unknown callers; beyond the limit they have no row in the call log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not _is_refusal(request, response):
            return response
        subject = _subject(request)
        is_known = getattr(request, "api_key_is_live", False)
        counted_as = f"{subject} {_partner_id(request)}" if is_known else subject
        verdict = refusals.count(counted_as, is_partners=is_known)
        # A path that does not exist asks for no key: who brought a good one is a partner all the same.
        if verdict.has_row or (not is_known and live_keys.is_live(request)):
            refused.labels(record="logged").inc()
            return response
        refused.labels(record="counted").inc()
        refused_calls.pending.note(subject)
        request.is_only_counted = True  # type: ignore[attr-defined]  # the call log reads it
        return response if is_known or not verdict.seconds else _turned_away(request, verdict.seconds)


def is_exempt(path: str) -> bool:
    """Whether nothing is counted or turned away there."""
    return path in EXEMPT or path.startswith(EXEMPT_BELOW)


def is_public(path: str) -> bool:
    """Whether it is answered to callers without a key."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def _is_refusal(request: HttpRequest, response: HttpResponse) -> bool:
    is_admitted = getattr(request, "api_call_is_admitted", False)
    return 400 <= response.status_code < 500 and not is_admitted and not is_exempt(request.path_info)


def _subject(request: HttpRequest) -> str:
    return subject_of(client_address(request.META, settings.TRUSTED_PROXIES))


def _partner_id(request: HttpRequest) -> str:
    partner: Any = getattr(request, "api_partner", None)
    return str(partner.pk) if partner else ""


def _turned_away(request: HttpRequest, seconds: int) -> HttpResponse:
    error = TooManyRequests(
        ErrorCode.ADDRESS_RATE_LIMITED,
        "Too many calls without a valid API key were refused; calls with one still pass",
        retry_after=seconds,
    )
    return exception_handler.refused(request, error)
