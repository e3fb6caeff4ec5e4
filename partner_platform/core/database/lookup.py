"""Prepared reads by the columns of an index, for the few queries that every API call makes.

Django makes a query's SQL anew each time, which for a table of forty columns takes as long as all the rest of the read.
A `Lookup` has Django's compiler make it once a thread, keeps that compiler, and gives it other values: the query that
is sent, the rows and their conversion are Django's own. On MongoDB, whose compiler makes something else, it is an
ordinary `get()`.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db import connections, models

from partner_platform.core.database.transactions import is_mongodb

M = TypeVar("M", bound=models.Model)


class Lookup(Generic[M]):
    """`Lookup(lambda: Loan.objects.select_related("partner"), "partner_id", "number").get(partner_id=…, number=…)`.

    The columns are the model's own, of text or UUIDs, compared for equality; no value is None.
    """

    def __init__(self, rows: "Callable[[], models.QuerySet[M]]", *columns: str) -> None:
        self._rows, self._columns = rows, columns
        self._local = threading.local()  # a compiler belongs to a connection, a connection to a thread

    def get(self, **values: object) -> M:
        """The row; raises the model's `DoesNotExist`, or `MultipleObjectsReturned`."""
        if is_mongodb():
            return self._rows().get(**values)
        statement: _Statement | None = getattr(self._local, "statement", None)
        if statement is None or not statement.is_of_this_connection():
            statement = self._local.statement = _Statement(self._rows(), self._columns)
        found: list[M] = statement.run(values)
        if not found:
            raise statement.rows.model.DoesNotExist
        if len(found) > 1:
            raise statement.rows.model.MultipleObjectsReturned
        return found[0]


class Listing:
    """The same for the first rows in an order, of which some columns are wanted, as tuples.

    `Listing(lambda: Loan.objects.values_list("number", "amount"), "partner_id", order=("-created_at",), limit=10)`.
    """

    def __init__(self, rows: Callable[[], Any], *columns: str, order: tuple[str, ...], limit: int) -> None:
        self._rows, self._columns, self._order, self._limit = rows, columns, order, limit
        self._local = threading.local()

    def all(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows, in their order."""
        if is_mongodb():
            return list(self._rows().filter(**values).order_by(*self._order)[: self._limit])
        statement: _Statement | None = getattr(self._local, "statement", None)
        if statement is None or not statement.is_of_this_connection():
            made = _Statement(self._rows(), self._columns, order=self._order, limit=self._limit)
            statement = self._local.statement = made
        return statement.run(values)


class _Statement:
    """A queryset with its compiled SQL, for the connection of this thread."""

    def __init__(
        self, rows: Any, columns: tuple[str, ...], *, order: tuple[str, ...] = (), limit: int | None = None
    ) -> None:
        self._connection = connections[rows.db]
        self._fields = {name: rows.model._meta.get_field(name) for name in columns}
        marks = {name: _mark(field) for name, field in self._fields.items()}
        self.rows = rows.filter(**marks).order_by(*order)[:limit]
        compiler = self.rows.query.get_compiler(connection=self._connection)
        self._sql, params = compiler.as_sql()
        self._places = [params.index(self._prepared(name, mark)) for name, mark in marks.items()]
        if len(params) != len(columns):
            raise ValueError(f"a look-up compares its columns {', '.join(columns)} and nothing else")
        converters = compiler.get_converters([column for column, _, _ in compiler.select])
        compiler.get_converters = lambda expressions: converters
        self.rows.query.get_compiler = lambda *args, **kwargs: compiler
        self._compiler = compiler
        self._rows_of = self.rows._iterable_class  # noqa: SLF001 - as iterating the queryset would

    def is_of_this_connection(self) -> bool:
        """Whether the thread still has the connection that this was made for."""
        return self._connection is connections[self.rows.db]

    def run(self, values: Mapping[str, object]) -> list[Any]:
        """The rows whose columns have these values."""
        params: list[Any] = [None] * len(self._places)
        for place, name in zip(self._places, self._fields, strict=True):
            params[place] = self._prepared(name, values[name])
        self._compiler.as_sql = lambda *args, **kwargs: (self._sql, tuple(params))
        return list(self._rows_of(self.rows))

    def _prepared(self, name: str, value: object) -> object:
        return self._fields[name].get_db_prep_value(value, connection=self._connection, prepared=False)


def _mark(field: object) -> object:
    """A unique value, to find a column's place among the parameters."""
    target = getattr(field, "target_field", field)
    return uuid.uuid4() if isinstance(target, models.UUIDField) else uuid.uuid4().hex
