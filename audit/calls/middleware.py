"""A row in `ApiLog` for calls to the partner API: public or not, served or refused, found or not."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit.calls import rows

logger = logging.getLogger(__name__)

LOGGED_PATHS = "/partners/"


class ApiLogMiddleware:
    """Writes the row after the response is made: one insert, no reads. A failed insert is logged and changes no
    response.

    It sits inside the request-id middleware and outside everything that refuses, so that it sees 413 and unknown paths
    too. A refused call that is only counted (`audit.calls.refused_calls`) has `is_only_counted` and no row.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(LOGGED_PATHS):
            return self.get_response(request)
        began = time.perf_counter()
        body = rows.read_body(request)
        response = self.get_response(request)
        milliseconds = round((time.perf_counter() - began) * 1000)
        if getattr(request, "is_only_counted", False):
            return response
        try:
            rows.describe(request, response, body, milliseconds).save(force_insert=True)
        except Exception:
            logger.exception("could not log %s %s", request.method, request.path)
        return response
