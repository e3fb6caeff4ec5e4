"""PostgreSQL connections that are checked without a query if they were used a moment ago.

`CONN_HEALTH_CHECKS` asks `SELECT 1` before the first query of each request: a round trip more for every call. But a
server that ends a connection (a restart, a failover, an administrator) says so on the socket, and PostgreSQL says
nothing unasked otherwise: as long as there is nothing to read, the connection is alive. A network that drops it
silently (a firewall that forgets idle connections) shows only after a while, so a connection that was idle longer than
`TRUSTED_SECONDS` is checked with the query.
"""

import select
import time
from typing import Any

from django.db.backends.postgresql import base

TRUSTED_SECONDS = 5.0


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend with a cheaper health check; the first query after an idle time still pays for the full one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answered_at = float("-inf")  # monotonic seconds; when a check last found the connection usable

    def close_if_health_check_failed(self) -> None:
        if self._is_fresh():
            self.health_check_done = True
            return
        super().close_if_health_check_failed()

    def close_if_unusable_or_obsolete(self) -> None:
        """The end of a request, or the start of the next: after a use without errors the connection answers."""
        if self.connection is not None and self.health_check_done and not self.errors_occurred:
            self._answered_at = time.monotonic()
        super().close_if_unusable_or_obsolete()

    def begin_snapshot(self) -> None:
        """Read from now on what is committed now, and write nothing (`core.database.snapshot`)."""
        self.ensure_connection()
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.connection.execute("SELECT 1")  # the first query picks the moment

    def end_snapshot(self) -> None:
        """End the snapshot; the connection is closed afterwards."""
        if self.connection is not None and not self.connection.closed:
            self.connection.execute("ROLLBACK")

    def _is_fresh(self) -> bool:
        return (
            self.connection is not None
            and time.monotonic() - self._answered_at < TRUSTED_SECONDS
            and not self.connection.closed
            and not _has_something_to_read(self.connection.fileno())
        )


def _has_something_to_read(descriptor: int) -> bool:
    """Whether the server sent something unasked: that it ends the connection, or has ended it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
