"""SQLite whose writers queue for its one write lock instead of sleeping on it.

Two things were measured with a dozen threads and SQLite's own busy handler (`make bench`):

1. It sleeps longer and longer, up to 100 ms, while the lock stands free: a tenth of the throughput of one thread.
2. It sleeps inside `sqlite3_step`, with the connection's mutex held. A thread that holds the write lock and happens to
   collect garbage with another connection's statement in it waits for that mutex, whose holder waits for the write
   lock: a deadlock until the time-out, 30 s for everybody.

So SQLite is told not to wait. Threads of a process take turns at a lock of their own, the one whose turn it is asks
again every `POLL_SECONDS` with nothing held, and the time-out of the settings bounds all of it. Transactions take their
turn with BEGIN IMMEDIATE, single statements outside one only where they find SQLite busy (it has done nothing then).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.sqlite3 import base

T = TypeVar("T")

POLL_SECONDS = 0.0005

_turns: dict[str, threading.Lock] = {}
os.register_at_fork(after_in_child=_turns.clear)  # a lock may be held by a thread that the child does not have


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend; one connection belongs to one thread, as ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held_turn: threading.Lock | None = None

    def get_new_connection(self, conn_params: dict[str, object]) -> object:
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def create_cursor(self, name: str | None = None) -> "QueueingCursor":
        return QueueingCursor(self.connection, self)

    def in_turn(self, statement: Callable[[], T]) -> T:
        """Run a statement; where SQLite is busy, queue for the write lock and run it then."""
        try:
            return statement()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or self.in_atomic_block:
                raise
        waits = self._held_turn is None
        deadline = self._take_turn()
        try:
            return _insist(statement, deadline)
        finally:
            if waits:
                self._end_turn()

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def begin_snapshot(self) -> None:
        """Read from now on what is committed now, and write nothing (`core.database.snapshot`); it takes no turn."""
        self.ensure_connection()
        self.connection.execute("PRAGMA query_only = 1")
        self.connection.execute("BEGIN DEFERRED")
        self.connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # the first read picks the moment

    def end_snapshot(self) -> None:
        """Let the moment go; the connection is to be closed."""
        if self.connection is not None and self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _take_turn(self) -> float:
        """Wait for this process's turn to write; answers the (monotonic) time until which SQLite may be asked."""
        seconds = float(self.settings_dict["OPTIONS"].get("timeout", 5.0))
        deadline = time.monotonic() + seconds
        if self._held_turn is None:
            turn = _turns.setdefault(str(self.settings_dict["NAME"]), threading.Lock())
            if not turn.acquire(timeout=seconds):
                raise OperationalError("database is locked")
            self._held_turn = turn
        return deadline

    def _end_turn(self) -> None:
        turn, self._held_turn = self._held_turn, None
        if turn is not None:
            turn.release()


class QueueingCursor(base.SQLiteCursorWrapper):
    """Django's cursor, whose statements queue where SQLite is busy."""

    def __init__(self, raw: sqlite3.Connection, connection: DatabaseWrapper) -> None:
        super().__init__(raw)
        self._in_turn = connection.in_turn

    def execute(self, query: str, params: Any = None) -> Any:
        run = super().execute
        return self._in_turn(lambda: run(query, params))

    def executemany(self, query: str, param_list: Any) -> Any:
        run, rows = super().executemany, list(param_list)
        return self._in_turn(lambda: run(query, rows))


def _insist(statement: Callable[[], T], deadline: float) -> T:
    while True:
        try:
            return statement()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
