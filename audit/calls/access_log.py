"""One log line for each request that reaches the platform.

    2026-01-05 10:30:00,123 INFO    access [b3f0c9a27d5e4c1f8a6b2d9e7f405163] POST /partners/borrow -> 201 ms=412
    bytes=873 ip=203.0.113.9 partner=partner_xyz_lending_001 client_request=order-4711

all on one line.

The path is percent-encoded, without its query; the formatter masks keys in it. `ip` is the caller's, behind our proxies
too. What the web server refuses itself has a line of its own (`partner_platform.server.refusals`).
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path

from audit.calls.client_address import client_address

logger = logging.getLogger("access")

MAX_PATH = 300


class AccessLogMiddleware:
    """Writes the line once the response is known; for a stream, when it begins."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        if logger.isEnabledFor(logging.INFO):
            _write(request, response, round((time.perf_counter() - began) * 1000))
        return response


def _write(request: HttpRequest, response: HttpResponse, milliseconds: int) -> None:
    partner: Any = getattr(request, "api_partner", None)
    logger.info(
        "%s %s -> %d ms=%d bytes=%s ip=%s partner=%s client_request=%s",
        (request.method or "")[:20],
        escape_uri_path(request.path)[:MAX_PATH],
        response.status_code,
        milliseconds,
        "-" if response.streaming else len(response.content),
        client_address(request.META, settings.TRUSTED_PROXIES) or "-",
        partner.partner_id if partner else "-",
        getattr(request, "client_request_id", "") or "-",
    )
