"""Forwarding headers are trusted from our proxies only (`TRUSTED_PROXIES`).

From any other peer the headers are removed before anything reads them: Django would accept `X-Forwarded-Proto: https`
from anybody as soon as one proxy is trusted. From a proxy of ours the scheme must be a single word: in a list, the
caller's own claim cannot be told apart.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit.calls.client_address import is_within, peer_address

_PREFIX = "HTTP_X_FORWARDED_"
_OTHERS = ("HTTP_FORWARDED", "HTTP_X_REAL_IP")
_SCHEME = "HTTP_X_FORWARDED_PROTO"


class ForwardedHeadersMiddleware:
    """The outermost middleware: removes untrusted headers from `request.META`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        claims = [name for name in meta if name.startswith(_PREFIX) or name in _OTHERS]
        if claims and not is_within(peer_address(meta), settings.TRUSTED_PROXIES):
            for name in claims:
                del meta[name]
        elif "," in meta.get(_SCHEME, ""):
            del meta[_SCHEME]
        return self.get_response(request)
