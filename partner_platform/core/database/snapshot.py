"""Reading many tables as they were at one moment, while others go on writing.

    with snapshot():
        ...  # every query of this thread sees the database as it was at the block's first query

On a connection of its own, so that no write lock is taken and nobody waits: SQLite's WAL keeps the pages of that
moment, PostgreSQL reads in one REPEATABLE READ transaction, MongoDB in a session whose reads have one cluster time. The
engine refuses writes within. MongoDB keeps a snapshot for `minSnapshotHistoryWindowInSeconds` (300 by default); a query
after that fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from partner_platform.core.database.transactions import in_transaction


@contextmanager
def snapshot(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Within, all reads of this thread see one moment. Raises `RuntimeError` inside a transaction of ours.

    Inside a transaction that Django opened (a test case that is rolled back) it reads what that transaction sees: there
    is nothing else to see.
    """
    if in_transaction(using):
        raise RuntimeError("a snapshot is read outside of transactions: what they wrote would be missing in it")
    outer: Any = connections[using]
    if outer.in_atomic_block:
        yield
        return
    reader: Any = outer.copy()
    connections[using] = reader
    try:
        reader.begin_snapshot()
        yield
    finally:
        connections[using] = outer
        reader.end_snapshot()
        reader.close()
