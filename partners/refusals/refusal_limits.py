"""Limits on refused calls: an address that is refused too often is turned away early, counted but not logged.

Each client address (IPv6: each /64) gets `RATE_LIMIT_REFUSED` refusals a minute with the real reason, each with its row
in the call log. After that the address gets 429 `address_rate_limited` without a query or a round trip, and
`audit.calls.refused_calls` only counts. A call with a valid key, or with an access token of staff that we signed,
always passes, from that address too, because honest callers share addresses with others
(`partners.refusals.known_callers`).

An attack from many addresses stays within the limit of each. So when all refused callers together have used up the
call log rows that a process has for them in a minute, this process turns away every call without a valid key, except to
paths that need no key: it would have been refused anyway, at the cost of a query.

The limits are applied in three places:

1. `refusal_from_memory`, called by the web server (`core.web.turning_away`) before the request takes a thread: a flood
   from an address over its limit costs little more than reading it. Where memory is not enough to decide, it returns
   None.
2. `TurnAwayMiddleware`, outside of the call log: turns away what the server could not decide, or did not ask about.
3. `CountRefusalsMiddleware`, inside: sees the response, counts the refusal, and decides whether it gets a row.

Responses below 400 or from 500 on, and all calls that `partners.access.admission` let in, are not counted. A caller
with a valid key but a wrong address or signature has a count of its own, so that nobody else at its address can change
its responses; these stay as they are, without a row beyond the limit.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit.calls import refused_calls
from audit.calls.client_address import client_address
from partner_platform.core import metrics
from partner_platform.core.errors import ErrorCode, PlatformError, TooManyRequests
from partner_platform.core.web import exception_handler
from partners.refusals import known_callers
from partners.refusals.counting import counted_subject, refusals

GetResponse = Callable[[HttpRequest], HttpResponse]

# Health checks and scrapes must pass, whoever shares their address; the console limits its logins itself.
EXEMPT = frozenset({"/health/live", "/health/ready", "/metrics"})
EXEMPT_BELOW = ("/console/", "/static/")
# Paths that need no key; a test compares them with the OpenAPI schema.
PUBLIC = frozenset({"/", "/openapi.json", "/docs", "/docs/redoc"})
PUBLIC |= {"/auth/token", "/auth/token/refresh", "/auth/siwe/nonce", "/auth/siwe/verify"}
PUBLIC_BELOW = ("/partners/public/",)

refused = metrics.counter(
    "api_refused_calls_total",
    "Calls of unknown callers that were refused: with a row in the call log, only counted, or turned away unread",
    ["record"],
)


def refusal_from_memory(meta: Mapping[str, object], path: str) -> PlatformError | None:
    """The refusal of a call that must be turned away, decided from this process's memory: no query, no round trip.

    None while counts are due to be sent to Redis: the middleware sends them with the next call.
    """
    if is_exempt(path) or refused_calls.pending.is_due:
        return None
    subject = _subject(meta)
    seconds = _seconds(subject, path)
    return _turned_away(subject, seconds) if seconds and not known_callers.may_be_known_caller(meta) else None


class TurnAwayMiddleware:
    """429 for an address that is over its limit of refusals, unless the call has a key that works."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refused_calls.pending.push_due()
        if is_exempt(request.path_info):
            return self.get_response(request)
        subject = _subject(request.META)
        seconds = _seconds(subject, request.path_info)
        if not seconds or known_callers.is_known_caller(request.META):
            return self.get_response(request)
        return exception_handler.refused(request, _turned_away(subject, seconds))


class CountRefusalsMiddleware:
    """Counts the refusals of unknown callers; beyond the limit they have no row in the call log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not _is_refusal(request, response):
            return response
        subject = _subject(request.META)
        is_known = getattr(request, "api_key_is_live", False)
        counted_as = f"{subject} {_partner_id(request)}" if is_known else subject
        verdict = refusals.count(counted_as, is_partners=is_known)
        # An unknown path asks for no key: a caller with a valid key there still counts as a partner.
        if verdict.has_row or (not is_known and known_callers.is_known_caller(request.META)):
            refused.labels(record="logged").inc()
            return response
        refused.labels(record="counted").inc()
        refused_calls.pending.note(subject)
        request.is_only_counted = True  # type: ignore[attr-defined]  # the call log reads it
        if is_known or not verdict.seconds:
            return response
        return exception_handler.refused(request, _refusal(verdict.seconds))


def is_exempt(path: str) -> bool:
    """Whether calls to this path are neither counted nor turned away."""
    return path in EXEMPT or path.startswith(EXEMPT_BELOW)


def is_public(path: str) -> bool:
    """Whether this path needs no key."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def _is_refusal(request: HttpRequest, response: HttpResponse) -> bool:
    is_admitted = getattr(request, "api_call_is_admitted", False)
    return 400 <= response.status_code < 500 and not is_admitted and not is_exempt(request.path_info)


def _seconds(subject: str, path: str) -> int:
    """Seconds for which calls of that address to that path are turned away; 0 where they pass."""
    return refusals.seconds_left(subject) or (0 if is_public(path) else refusals.seconds_of_all())


def _subject(meta: Mapping[str, object]) -> str:
    return counted_subject(client_address(meta, settings.TRUSTED_PROXIES))


def _partner_id(request: HttpRequest) -> str:
    partner: Any = getattr(request, "api_partner", None)
    return str(partner.pk) if partner else ""


def _turned_away(subject: str, seconds: int) -> PlatformError:
    refused.labels(record="turned_away").inc()
    refused_calls.pending.note(subject)
    return _refusal(seconds)


def _refusal(seconds: int) -> PlatformError:
    return TooManyRequests(
        ErrorCode.ADDRESS_RATE_LIMITED,
        "Too many calls without a valid API key were refused; calls with one still pass",
        retry_after=seconds,
    )
