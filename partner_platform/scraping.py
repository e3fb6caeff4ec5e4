"""`GET /metrics`: the figures for Prometheus (`core.metrics`), for those who run the platform and nobody else.

A caller with `METRICS_TOKEN` may read them, or one from `METRICS_NETWORKS` (in the sandbox: this machine). A caller
with a token is judged by the token alone. Everybody else gets the answer of a path that does not exist.
"""

import hmac
import logging

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from audit.calls.client_address import client_address, is_within
from partner_platform.core import metrics
from partner_platform.core.web.acceptance import note_accepted

logger = logging.getLogger(__name__)


@csrf_exempt  # who posts here is answered as elsewhere: not found
def metrics_page(request: HttpRequest) -> HttpResponse:
    """The page in Prometheus's text format."""
    if request.method not in ("GET", "HEAD") or not _may_read(request):
        raise Http404
    return HttpResponse(
        metrics.cached_page(), content_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"}
    )


def _may_read(request: HttpRequest) -> bool:
    address = client_address(request.META, settings.TRUSTED_PROXIES)
    offered = request.headers.get("Authorization")
    if offered is None or not settings.METRICS_TOKEN:
        return is_within(address, settings.METRICS_NETWORKS)
    scheme, _, token = offered.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode()):
        note_accepted(request.META)  # the figures are wanted most while strangers fill the server's queues
        return True
    logger.warning("a scrape with a wrong token was refused: it came from %s", address)
    return False
