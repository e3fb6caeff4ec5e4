"""Work over many rows, of which one that fails stops none of the others."""

import logging
from collections.abc import Callable

from django.db import connection

from partner_platform.core.database.transactions import is_unavailable

logger = logging.getLogger(__name__)


def alone(act: Callable[[], int], what: str) -> int:
    """What `act` answers; 0 where it raises, which is told at ERROR as "`what` failed".

    A database that is not there is no row's fault: that is raised, for all others would fail as well.
    """
    try:
        return act()
    except Exception as error:
        if is_unavailable(error) and not connection.is_usable():
            raise
        logger.exception("%s failed; the others go on", what)
        return 0
