"""The target of a request, path and query, as the client sent it: percent-encoding and all.

Django's own path is decoded, so two different targets may look the same in it. The servers keep the raw one: ours
as `REQUEST_URI`, others as `RAW_URI`, ASGI servers as `raw_path`. A proxy in front must pass it on unchanged.
"""

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest

_BY_SERVER = ("RAW_URI", "REQUEST_URI")  # set by the server: a client's header would be HTTP_…


def request_target(request: HttpRequest) -> bytes:
    """`/path?query` as bytes; of a target in absolute form (`GET http://host/path`) without scheme and host."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    if scope.get("raw_path") is not None:
        query: bytes = scope.get("query_string", b"")
        raw_path: bytes = scope["raw_path"].partition(b"?")[0]
        return raw_path + (b"?" + query if query else b"")
    raw = next((str(request.META[name]) for name in _BY_SERVER if request.META.get(name)), None)
    if raw is None:  # a server that keeps no raw one, and Django's test client: re-encoded from the decoded path
        return request.get_full_path().encode()
    if not raw.startswith("/"):
        parts = urlsplit(raw)
        raw = parts.path + (f"?{parts.query}" if parts.query else "")
    return raw.encode("latin-1")  # WSGI's strings are bytes as Latin-1
