"""Processing many rows, where one failure does not stop the others."""

import logging
from collections.abc import Callable

from django.db import connection

from partner_platform.core.database.transactions import is_unavailable

logger = logging.getLogger(__name__)


def alone(act: Callable[[], int], what: str) -> int:
    """The result of `act`; 0 where it raises, which is logged at ERROR as "`what` failed".

    An unavailable database is raised: all other rows would fail as well.
    """
    try:
        return act()
    except Exception as error:
        if is_unavailable(error) and not connection.is_usable():
            raise
        logger.exception("%s failed; the others go on", what)
        return 0
