"""Transactions that mean the same on SQLite, PostgreSQL and MongoDB.

Everything in this project goes through this module (ruff's banned-api forbids Django's own). With the stock MongoDB
backend Django's `atomic` is silently a no-op; our engine (`core.mongodb`) makes it real, and this module makes all
three engines behave alike: a block commits completely or not at all, a failed inner block rolls the outer one back too,
and only the outermost can be retried.

Rules for callers:

1. `run_in_transaction(fn)` may run `fn` several times: side effects belong in `on_commit`.
2. No network call and no caught database error inside a transaction.
3. Where rows of one table are touched in one transaction, touch them in key order.

Source: rules 2 and 3 of docs/databases.md.
"""

import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from pymongo.errors import ConnectionFailure

from partner_platform.core.postponed import AfterRollback

T = TypeVar("T")

# How long a caller waits for a database whose transactions keep conflicting. It is longer than MongoDB holds the rows
# of a killed process's transaction (9 s, docs/databases.md): the next process waits for them and does not fail.
RETRY_SECONDS = 15.0
_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01"})  # PostgreSQL: serialization failure, deadlock


class _Block(transaction.Atomic):
    """Django's atomic block with one meaning everywhere.

    Blocks of ours inside one another share one transaction without savepoints, which MongoDB does not have. Inside a
    block that Django opened itself (the admin, a test case) the outermost of ours is a savepoint where there are any.
    After a failed statement the block can only roll back: if the error were caught, PostgreSQL would silently roll back
    at the end, and SQLite would commit the rest.
    """

    using: str

    def __init__(self, using: str) -> None:
        super().__init__(using, savepoint=True, durable=False)

    def _recreate_cm(self) -> "_Block":
        return _Block(self.using)  # used as a decorator: a state per call, not per function

    def __enter__(self) -> None:
        self.is_outermost = not in_transaction(self.using)
        self.savepoint = self.is_outermost
        super().__enter__()
        if self.is_outermost:
            connections[self.using].execute_wrappers.append(_doom_on_error)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection: Any = connections[self.using]
        if self.is_outermost:
            connection.execute_wrappers.remove(_doom_on_error)
        is_doomed = self.is_outermost and exc_type is None and connection.needs_rollback
        reason = connection.rollback_exc
        super().__exit__(exc_type, exc, traceback)
        if is_doomed:
            message = "An error inside was caught and passed over: all was rolled back"
            raise TransactionManagementError(message) from reason


def _doom_on_error(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> object:
    """Around every SQL statement of a block (`core.mongodb` does the same in its compilers)."""
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        connection = context["connection"]
        connection.needs_rollback = True
        connection.rollback_exc = error
        raise


def is_mongodb(using: str = DEFAULT_DB_ALIAS) -> bool:
    """True where the connection speaks to MongoDB."""
    return connections[using].vendor == "mongodb"


def in_transaction(using: str = DEFAULT_DB_ALIAS) -> bool:
    """True inside an `atomic` block of this module on this thread's connection."""
    return any(isinstance(block, _Block) for block in connections[using].atomic_blocks)


def atomic(using: str = DEFAULT_DB_ALIAS) -> _Block:
    """A transaction block: all of it is committed, or nothing of it. A context manager and a decorator."""
    return _Block(using)


def on_commit(callback: Callable[[], object], using: str = DEFAULT_DB_ALIAS) -> None:
    """Run `callback` after the outermost transaction commits, at once where there is none.

    An exception of a callback is logged by Django and not raised: the transaction is committed already.
    """
    transaction.on_commit(callback, using=using, robust=True)


@contextmanager
def again_if_taken() -> Iterator[None]:
    """Around an insert that a unique constraint allows once: run the whole transaction again where it was refused.

    The caller looked for the row before and did not find it, so another transaction inserted it at the same moment. The
    next run finds it. The error leaves the transaction, as every database error must.
    """
    try:
        yield
    except IntegrityError as error:
        raise TransactionManagementError("Another transaction inserted the row at the same moment") from error


def is_transient(error: BaseException | None) -> bool:
    """True where running the transaction again may succeed: a conflict, a deadlock, a busy SQLite, a lost primary.

    Also where `again_if_taken` asks for it, and where Django itself (`get_or_create`) caught an `IntegrityError` and
    went on in a transaction that MongoDB had aborted with it: the next run finds the row.
    """
    for cause in _causes(error):
        if _has_label(cause, "TransientTransactionError"):
            return True
        if getattr(cause, "sqlstate", None) in _RETRYABLE_SQLSTATES:
            return True
        if isinstance(cause, sqlite3.OperationalError) and "locked" in str(cause):
            return True
        if isinstance(cause, TransactionManagementError) and isinstance(cause.__cause__, IntegrityError):
            return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _has_label(error: BaseException, label: str) -> bool:
    """Whether MongoDB's driver put this label on it."""
    has_label = getattr(error, "has_error_label", None)
    return has_label is not None and bool(has_label(label))


def is_unavailable(error: BaseException) -> bool:
    """True where the database could not be reached or was too busy: a matter of time, not of the request.

    Also where MongoDB could not tell within the retries whether a commit succeeded.
    """
    if isinstance(error, OperationalError | InterfaceError | ConnectionFailure) or is_transient(error):
        return True
    return any(_has_label(cause, "UnknownTransactionCommitResult") for cause in _causes(error))


def run_in_transaction(
    fn: Callable[[], T], using: str = DEFAULT_DB_ALIAS, *, retry_seconds: float = RETRY_SECONDS
) -> T:
    """Run `fn` in one transaction and return its result; retry it, with jitter, after transient errors.

    Retries end after `retry_seconds`; 0: no retry. Inside another transaction it joins that one: only the outermost
    block can be retried, and calls `after_rollback` of an `AfterRollback` that ended it.
    """
    if in_transaction(using):
        return fn()
    deadline = time.monotonic() + retry_seconds
    is_whole = not connections[using].in_atomic_block  # not where Django itself opened a transaction around us
    for attempt in itertools.count(1):
        try:
            with atomic(using):
                return fn()
        except AfterRollback as error:
            error.after_rollback()
            raise
        except Exception as error:
            if not is_whole or not is_transient(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.002 * 2 ** min(attempt, 7) * random.random())  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")
