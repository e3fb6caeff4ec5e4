"""The console's login form, with limits on guessing passwords (django-ratelimit; docs/decisions.md).

A client address gets ten tries in five minutes; tries refused by this rule count for no other. A user name may be tried
thirty times in an hour, wherever the tries come from. Beyond that an address still has its first three tries of the
hour for that name, so that an attacker with a few addresses does not lock the real user out everywhere; after three
hundred tries for a name that ends too. Without Redis the form stays open: staff must come in during an outage, and each
try still costs a slow hash.
"""

import logging
import unicodedata

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django_ratelimit.core import is_ratelimited
from redis.exceptions import RedisError

from audit.calls.client_address import client_address
from partners.access.rate_limit import public_subject

logger = logging.getLogger(__name__)

TRIES_OF_AN_ADDRESS = "10/5m"
TRIES_FOR_A_NAME = "30/h"
FIRST_TRIES_OF_AN_ADDRESS_FOR_A_NAME = "3/h"
MOST_TRIES_FOR_A_NAME = "300/h"


def login(request: HttpRequest) -> HttpResponse:
    """Django's own login view, or 429."""
    if request.method == "POST" and _is_limited(request):
        message = "Too many attempts. Try again in some minutes."
        return HttpResponse(message, status=429, content_type="text/plain", headers={"Retry-After": "300"})
    return admin.site.login(request)


def _is_limited(request: HttpRequest) -> bool:
    try:
        return _over(request, "address", TRIES_OF_AN_ADDRESS, _address(request)) or _is_limited_for_name(request)
    except RedisError as error:
        logger.warning("logins are not limited: %s", error)
        return False


def _is_limited_for_name(request: HttpRequest) -> bool:
    """Limits by user name, for an address that is not refused itself. All three counts are made, whatever the first one
    says.
    """
    name = account_name(request.POST.get("username", ""))
    is_over = _over(request, "name", TRIES_FOR_A_NAME, name)
    is_no_first = _over(request, "name-address", FIRST_TRIES_OF_AN_ADDRESS_FOR_A_NAME, f"{_address(request)} {name}")
    is_far_over = _over(request, "name-most", MOST_TRIES_FOR_A_NAME, name)
    return is_far_over or (is_over and is_no_first)


def _over(request: HttpRequest, what: str, rate: str, value: str) -> bool:
    """Count one try of `value`; True where it is one too many."""
    return is_ratelimited(request, group=f"console-{what}", key=lambda group, request: value, rate=rate, increment=True)


def account_name(typed: str) -> str:
    """The name that all spellings of one account share: Django's form strips what was typed and takes its NFKC form.

    Names in another case are other accounts to Django, but are counted together.
    """
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def _address(request: HttpRequest) -> str:
    return public_subject(client_address(request.META, settings.TRUSTED_PROXIES))
