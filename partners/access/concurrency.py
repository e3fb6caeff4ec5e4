"""How many of a process's threads one partner's calls may occupy, so that other partners always find one.

A single partner may have `PARTNER_THREADS` calls in flight in a web process, and fewer the more partners there are
(`core.fair_share`). The next one is 429 `concurrency_limited`: after authentication, before Redis is asked or anything
is decided; it counts against no rate, and has its row in the call log. A call is in flight until its response is
complete, a streamed one until its last byte.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from partner_platform.core import metrics
from partner_platform.core.errors import ErrorCode, TooManyRequests
from partner_platform.core.fair_share import FairShare
from partners.models import Partner

RETRY_AFTER_SECONDS = 1

calls_in_flight = FairShare(settings.WEB_THREADS, settings.PARTNER_THREADS)

limited = metrics.counter(
    "concurrency_limited_calls_total", "Calls of partners that were refused because too many of the same were in flight"
)


def enter(request: HttpRequest, partner: Partner) -> None:
    """Count the call as in flight until `ConcurrencyMiddleware` has its response; raises 429 `concurrency_limited`."""
    if not calls_in_flight.take(partner.pk):
        limited.inc()
        raise TooManyRequests(
            ErrorCode.CONCURRENCY_LIMITED,
            "Too many of your calls are being answered at this moment",
            retry_after=RETRY_AFTER_SECONDS,
        )
    request.give_back_thread = lambda: calls_in_flight.give_back(partner.pk)  # type: ignore[attr-defined]


class ConcurrencyMiddleware:
    """Ends what `enter` began, on success and on error."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_streamed = False
        try:
            response = self.get_response(request)
            is_streamed = response.streaming
        finally:
            give_back: Callable[[], None] | None = getattr(request, "give_back_thread", None)
            if give_back is not None and not is_streamed:
                give_back()
        if give_back is not None and is_streamed:
            closers: Any = response
            closers._resource_closers.append(give_back)  # noqa: SLF001 - what servers call when all is sent
        return response
