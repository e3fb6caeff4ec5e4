"""When a key and its partner were last used: written at most once a minute, never by an ordinary request.

The authentication query brings the stored time along, so a request knows without asking whether it is fresh. Of the
requests that find it stale at once, Redis lets one write; without Redis they all try, and the guard lets one of them
change the row.
"""

import datetime as dt
import logging
from typing import Any

from django.db import DatabaseError
from django.db.models import Q
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from partner_platform.core import clock
from partners.models import ApiKey, Partner

logger = logging.getLogger(__name__)

RESOLUTION = dt.timedelta(minutes=1)


def note(api_key: ApiKey) -> None:
    """Record that the key is in use; what goes wrong here is logged and never refuses the request."""
    now = clock.now()
    stale_before = now - RESOLUTION
    if api_key.last_used_at is not None and api_key.last_used_at > stale_before:
        return
    if not _is_first_this_minute(api_key):
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=stale_before)
    try:
        ApiKey.objects.filter(stale, pk=api_key.pk).update(last_used_at=now)
        Partner.objects.filter(stale, pk=api_key.partner_id).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("could not note the use of key %s: %s", api_key.prefix, error)


def _is_first_this_minute(api_key: ApiKey) -> bool:
    redis: Any = get_redis_connection("default")
    try:
        return bool(redis.set(f"key-used:{api_key.pk}", 1, nx=True, ex=int(RESOLUTION.total_seconds())))
    except RedisError as error:
        logger.warning("noting the use of key %s without redis: %s", api_key.prefix, error)
        return True
