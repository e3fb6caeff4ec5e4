"""The connection: real transactions, and errors as Django's own classes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, NotSupportedError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django_mongodb_backend import base
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from partner_platform.core.mongodb.operations import DatabaseOperations
from partner_platform.core.mongodb.schema import DatabaseSchemaEditor

COMMIT_DEADLINE_SECONDS = 10.0
_COMMIT_PAUSE_SECONDS = 0.1


def _iexact_expression(value: object, pattern: object) -> dict[str, object]:
    if not isinstance(pattern, str):
        raise NotSupportedError("iexact against a column would read that column as a regular expression on MongoDB")
    return {"$regexMatch": {"input": value, "regex": f"^{pattern}$", "options": "i"}}


def _is_null(field: str, is_null: bool) -> dict[str, object]:
    """Null or missing: the same to MongoDB. The stock backend asks for both with an `$or` that no index serves."""
    return {field: None if is_null else {"$ne": None}}


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose `transaction.atomic` begins, commits and aborts a MongoDB transaction.

    The stock backend makes Django's `atomic` a no-op and offers a second one beside it. Here Django's own is wired to
    the session, so that the admin, `delete()` and `bulk_create()` are atomic too, and Django's rules hold: hooks run
    after the commit only, and a failed block rolls back those around it, since there are no savepoints.
    """

    SchemaEditorClass = DatabaseSchemaEditor
    ops_class = DatabaseOperations
    mongo_operators = {**base.DatabaseWrapper.mongo_operators, "isnull": _is_null}
    mongo_expr_operators = {**base.DatabaseWrapper.mongo_expr_operators, "iexact": _iexact_expression}

    # --- Django's transaction interface, as BaseDatabaseWrapper means it ---
    on_commit = BaseDatabaseWrapper.on_commit

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        BaseDatabaseWrapper.set_autocommit(self, autocommit, force_begin_transaction_with_broken_autocommit)

    def _set_autocommit(self, autocommit: bool) -> None:
        """Nothing to tell the server: outside of a session every statement commits by itself."""

    def _start_transaction_under_autocommit(self) -> None:
        self._end_session_if_any()
        self.session = self.connection.start_session()
        self.session.start_transaction(
            read_concern=ReadConcern("snapshot"),
            write_concern=WriteConcern("majority", j=True),  # what a partner got a response for survives a failover
        )

    def _commit(self) -> None:
        if self.session is None:
            return
        try:
            with self.translated_errors():
                _with_known_outcome(self.session.commit_transaction)
        finally:
            # A session left behind by a failed commit would swallow the thread's next transaction.
            self._end_session_if_any()

    def _rollback(self) -> None:
        if self.session is None:
            return
        try:
            if self.session.in_transaction:
                self.session.abort_transaction()
        finally:
            self._end_session_if_any()

    def _end_session_if_any(self) -> None:
        if self.session is not None:
            self._end_session()

    # --- Reading as of one moment (`core.database.snapshot`) ---
    def begin_snapshot(self) -> None:
        """Read from now on what is committed now; the server refuses to write in such a session."""
        self.ensure_connection()
        self.session = self.connection.start_session(snapshot=True)
        self.database["django_migrations"].find_one({}, session=self.session)  # the first read picks the moment

    def end_snapshot(self) -> None:
        """End the snapshot; the connection is closed afterwards."""
        self._end_session_if_any()

    # --- Statements ---
    def get_collection(self, name: str, **kwargs: object) -> object:
        """Every statement comes through here; in a doomed transaction it raises, as `cursor()` does on SQL."""
        self.validate_no_broken_transaction()
        return super().get_collection(name, **kwargs)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn pymongo's errors into Django's, and doom the transaction that they happened in: the server aborted it.

        A lost server is `OperationalError`, as on the other engines.
        """
        try:
            yield
        except (DatabaseError, PyMongoError) as error:
            reason = error if isinstance(error, PyMongoError) else error.__cause__
            if not isinstance(reason, PyMongoError):
                raise
            translated = error if isinstance(error, DatabaseError) else DatabaseError(str(reason))
            if isinstance(reason, ConnectionFailure):
                translated = OperationalError(str(reason))
            if self.in_atomic_block:
                self.needs_rollback = True
                self.rollback_exc = translated
            if translated is error:
                raise
            raise translated from reason

    def is_usable(self) -> bool:
        """True where the server answers; the driver repairs its own pool."""
        try:
            self.connection.admin.command("ping")
        except PyMongoError:
            return False
        return True


def _with_known_outcome(commit: Callable[[], None]) -> None:
    """Commit, and retry while a server that stepped down leaves the outcome open; a repeated commit is idempotent."""
    deadline = time.monotonic() + COMMIT_DEADLINE_SECONDS
    while True:
        try:
            return commit()
        except PyMongoError as error:
            if not error.has_error_label("UnknownTransactionCommitResult") or time.monotonic() >= deadline:
                raise
        time.sleep(_COMMIT_PAUSE_SECONDS)


def _begin_anew() -> None:
    """A forked process (of the web server) creates its own client: sockets and locks belong to the parent."""
    DatabaseWrapper._connection_pools.clear()
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.connection = None
            connection.__dict__.pop("database", None)


os.register_at_fork(after_in_child=_begin_anew)
