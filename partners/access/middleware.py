"""The rate limit headers on every response whose call was counted, refusals included."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from partners.access.rate_limit import Decision


class RateLimitHeadersMiddleware:
    """Writes the headers that `partners.access.admission` put on the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        decision: Decision | None = getattr(request, "rate_limit", None)
        if decision is not None:
            for name, value in decision.headers().items():
                response[name] = value
        return response
