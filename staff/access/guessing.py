"""Limits on guessing passwords and second factors, for the console's login and the sign-in API together.

A client address (IPv6: a /64) gets ten wrong tries in five minutes; tries that this rule refuses count for no other. An
account may be tried thirty times in an hour, wherever the tries come from. Beyond that an address still has its first
three tries of the hour for that account, so that an attacker with a few addresses does not lock the real person out
everywhere; after three hundred tries for an account it has them only where that account signed in within the last
month: the IPv6 network of one attacker has thousands of addresses.

A try is counted before the password is looked at, so that tries at the same moment are all counted; `forgive_try` takes
one back that was right. Without Redis nothing is counted: staff must come in during an outage, and each try still costs
a slow hash. The counts are django-ratelimit's (docs/decisions.md).
"""

import datetime as dt
import logging
import unicodedata

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from audit.calls.client_address import client_address
from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, TooManyRequests
from partners.access.rate_limit import public_subject
from staff.models import ApiSession, ConsoleSession

logger = logging.getLogger(__name__)

ADDRESS, ACCOUNT, ACCOUNT_OF_ADDRESS = "address", "account", "account-address"
# django-ratelimit's form: tries a period; beyond the number the count says so.
RATES = {ADDRESS: "10/5m", ACCOUNT: "30/h", ACCOUNT_OF_ADDRESS: "3/h"}
TRIES = {what: int(rate.partition("/")[0]) for what, rate in RATES.items()}
MOST_TRIES_FOR_AN_ACCOUNT = 300
RETRY_AFTER_SECONDS = 300
KNOWN_FOR = dt.timedelta(days=30)


def is_one_too_many(request: HttpRequest, typed_name: str) -> bool:
    """Count one try for the account of that name by the caller's address; True where it must not be looked at."""
    try:
        if _tries(request, ADDRESS, typed_name) > TRIES[ADDRESS]:
            return True
        # Both counts are made, whatever the first one says.
        of_account, of_address = (_tries(request, what, typed_name) for what in (ACCOUNT, ACCOUNT_OF_ADDRESS))
    except RedisError as error:
        logger.warning("sign-ins are not limited: %s", error)
        return False
    if of_account <= TRIES[ACCOUNT]:
        return False
    if of_address > TRIES[ACCOUNT_OF_ADDRESS]:
        return True
    return of_account > MOST_TRIES_FOR_AN_ACCOUNT and not _has_signed_in_here(request, typed_name)


def forgive_try(request: HttpRequest, typed_name: str) -> None:
    """Take back the try that `is_one_too_many` counted: it was no guess."""
    try:
        for what in RATES:
            _count(request, what, typed_name, is_right=True, increment=True)
    except RedisError as error:
        logger.warning("sign-ins are not limited: %s", error)


def require_try(request: HttpRequest, typed_name: str) -> None:
    """Count one try; raises 429 `too_many_sign_ins` where it must not be looked at."""
    if is_one_too_many(request, typed_name):
        raise TooManyRequests(
            ErrorCode.TOO_MANY_SIGN_INS,
            "Too many attempts to sign in. Try again in some minutes",
            retry_after=RETRY_AFTER_SECONDS,
        )


def account_name(typed: str) -> str:
    """The name that all spellings of one account share: spaces removed, in Unicode's NFKC form, whatever the case.

    Names in another case are other accounts to Django, but are counted together.
    """
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def _has_signed_in_here(request: HttpRequest, typed_name: str) -> bool:
    """Whether the account opened a session from the caller's address in the last month."""
    name = unicodedata.normalize("NFKC", typed_name).strip()  # as the sign-in reads it
    user = User.objects.filter(username=name).first() if "\x00" not in name else None
    address = client_address(request.META, settings.TRUSTED_PROXIES)
    if user is None or address is None:
        return False
    opened = {"user": user, "address": address, "opened_at__gt": clock.now() - KNOWN_FOR}
    return ConsoleSession.objects.filter(**opened).exists() or ApiSession.objects.filter(**opened).exists()


def _tries(request: HttpRequest, what: str, typed_name: str) -> int:
    """The tries of this period with this one, without those that were given back."""
    tries = _count(request, what, typed_name, is_right=False, increment=True)
    return tries - _count(request, what, typed_name, is_right=True, increment=False)


def _count(request: HttpRequest, what: str, typed_name: str, *, is_right: bool, increment: bool) -> int:
    address = public_subject(client_address(request.META, settings.TRUSTED_PROXIES))
    name = account_name(typed_name)
    value = {ADDRESS: address, ACCOUNT: name, ACCOUNT_OF_ADDRESS: f"{address} {name}"}[what]
    group = f"sign-in-{what}-{'right' if is_right else 'tried'}"
    usage = get_usage(request, group=group, key=lambda group, request: value, rate=RATES[what], increment=increment)
    return int(usage["count"]) if usage else 0
