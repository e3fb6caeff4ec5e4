"""Transactions that mean the same on SQLite, PostgreSQL and MongoDB.

Django's own `transaction.atomic` is silently a no-op on MongoDB, so everything in this project goes through this module
(ruff's banned-api forbids the other). Rules for callers:

1. `run_in_transaction(fn)` may run `fn` several times: side effects belong in `on_commit`.
2. No network call and no caught database error inside a transaction.
3. Where rows of one table are touched in one transaction, touch them in key order.

Source: PORTABILITY rules 2 and 3 (docs/databases.md).
"""

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from types import TracebackType
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.transaction import TransactionManagementError

T = TypeVar("T")

MAX_ATTEMPTS = 60
_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01"})  # PostgreSQL: serialization failure, deadlock


def is_mongodb(using: str = DEFAULT_DB_ALIAS) -> bool:
    """True where the connection speaks to MongoDB."""
    return connections[using].vendor == "mongodb"


def in_transaction(using: str = DEFAULT_DB_ALIAS) -> bool:
    """True inside an `atomic` block of this module on this thread's connection."""
    connection = connections[using]
    return bool(getattr(connection, "in_atomic_block_mongo", False) or connection.in_atomic_block)


def atomic(using: str = DEFAULT_DB_ALIAS) -> AbstractContextManager[Any]:
    """A transaction block: all of it is committed, or nothing of it."""
    return _MongoAtomic(using) if is_mongodb(using) else transaction.atomic(using)


def on_commit(callback: Callable[[], object], using: str = DEFAULT_DB_ALIAS) -> None:
    """Run `callback` after the outermost transaction commits, at once where there is none.

    A callback that raises is logged by Django and does not reach the caller: what was committed stands.
    """
    if is_mongodb(using):
        from django_mongodb_backend import transaction as mongo_transaction

        mongo_transaction.on_commit(callback, using=using, robust=True)
    else:
        transaction.on_commit(callback, using=using, robust=True)


def is_transient(error: BaseException | None) -> bool:
    """True where the database asks for the transaction to be run again: a write conflict, a deadlock, a busy SQLite."""
    while error is not None:
        has_label = getattr(error, "has_error_label", None)
        if has_label is not None and has_label("TransientTransactionError"):
            return True
        if getattr(error, "sqlstate", None) in _RETRYABLE_SQLSTATES:
            return True
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return True
        error = error.__cause__
    return False


def run_in_transaction(fn: Callable[[], T], using: str = DEFAULT_DB_ALIAS) -> T:
    """Run `fn` in one transaction and return what it returns; run it again, with jitter, where the database says so.

    Inside another transaction it just joins that one: only the outermost block can be retried.
    """
    if in_transaction(using):
        return fn()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with atomic(using):
                return fn()
        except Exception as error:
            if attempt == MAX_ATTEMPTS or not is_transient(error):
                raise
        time.sleep(0.002 * 2 ** min(attempt, 6) * random.random())  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


class _MongoAtomic(ContextDecorator):
    """The MongoDB backend's atomic block, without its traps.

    It has no savepoints, so an inner block that failed dooms the outer one, as on PostgreSQL; and a failed commit leaves a
    session behind that would swallow the thread's next transaction, so that session is ended.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def _recreate_cm(self) -> "_MongoAtomic":
        return _MongoAtomic(self.using)

    def __enter__(self) -> "_MongoAtomic":
        from django_mongodb_backend.transaction import Atomic

        connection: Any = connections[self.using]
        self.is_outermost = not connection.in_atomic_block_mongo
        if self.is_outermost:
            connection.inner_block_failed = False
            if connection.session is not None:
                connection._end_session()
        self.inner = Atomic(self.using)
        self.inner.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection: Any = connections[self.using]
        if not self.is_outermost:
            if exc_type is not None:
                connection.inner_block_failed = True
            self.inner.__exit__(exc_type, exc, traceback)
            return
        if exc_type is None and connection.inner_block_failed:
            self.inner.__exit__(TransactionManagementError, None, None)
            raise TransactionManagementError("an inner atomic() block failed: MongoDB has no savepoints")
        try:
            self.inner.__exit__(exc_type, exc, traceback)
        except BaseException:
            if connection.session is not None:
                connection.run_on_commit = []
                connection._end_session()
            raise
