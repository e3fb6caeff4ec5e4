"""When a key and its partner were last used: written at most once a minute, never by an ordinary request.

The authentication query brings the stored time along, so a request knows without asking whether it is fresh. Of
concurrent requests that find it stale, Redis lets one write (`partners.access.rate_limit`); without Redis all of them
try, and the guarded update lets one change the row.
"""

import datetime as dt
import logging

from django.db import DatabaseError
from django.db.models import Q

from partner_platform.core import clock
from partners.models import ApiKey, Partner

logger = logging.getLogger(__name__)

RESOLUTION = dt.timedelta(minutes=1)


def is_stale(api_key: ApiKey) -> bool:
    """Whether the key's last use must be written, judged by the row that was read."""
    return api_key.last_used_at is None or api_key.last_used_at <= clock.now() - RESOLUTION


def note(api_key: ApiKey) -> None:
    """Write that the key is in use; an error here is logged and never refuses the request."""
    now = clock.now()
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - RESOLUTION)
    try:
        ApiKey.objects.filter(stale, pk=api_key.pk).update(last_used_at=now)
        Partner.objects.filter(stale, pk=api_key.partner_id).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("could not note the use of key %s: %s", api_key.prefix, error)
