"""The console's login form, with a limit on guessing passwords (django-ratelimit; docs/decisions.md).

Ten tries in five minutes of a client address, thirty in an hour for a user name, wherever they come from. Without Redis
the form stays open: staff must come in during an outage, and each try still costs a slow hash.
"""

import logging

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django_ratelimit.core import is_ratelimited
from redis.exceptions import RedisError

from audit.client_address import client_address

logger = logging.getLogger(__name__)

TRIES_OF_AN_ADDRESS = "10/5m"
TRIES_FOR_A_NAME = "30/h"


def login(request: HttpRequest) -> HttpResponse:
    """Django's own login view, or 429."""
    if request.method == "POST" and _is_limited(request):
        message = "Too many attempts. Try again in some minutes."
        return HttpResponse(message, status=429, content_type="text/plain", headers={"Retry-After": "300"})
    return admin.site.login(request)


def _is_limited(request: HttpRequest) -> bool:
    try:
        # Both are counted, whatever the first says.
        limited = [
            is_ratelimited(request, group="console-address", key=_address, rate=TRIES_OF_AN_ADDRESS, increment=True),
            is_ratelimited(request, group="console-name", key=_name, rate=TRIES_FOR_A_NAME, increment=True),
        ]
    except RedisError as error:
        logger.warning("logins are not limited: %s", error)
        return False
    return any(limited)


def _address(group: str, request: HttpRequest) -> str:
    return client_address(request.META, settings.TRUSTED_PROXIES) or "unknown"


def _name(group: str, request: HttpRequest) -> str:
    return request.POST.get("username", "").lower()
