"""Rows into a table by each engine's own bulk path, for benchmarks only: the platform itself writes through the ORM.

Django's `bulk_create` prepares each column of each row, about 40 µs a row; most columns of a seeded table never change.
Here the unchanging ones are prepared once a table, the others by the cheapest conversion that says the same
(the reconciliation then reads them back through the ORM). Secondary indexes are built after the rows.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, cast

from django.db import connection, models
from django.utils import timezone

from partner_platform.core.fields import UINT256_DIGITS, Uint256Field

BATCH = 10_000
Row = list[Any]


class Table:
    """A model's table: `row` makes a row for the database, what is not named as the model's defaults have it."""

    def __init__(self, model: type[models.Model], **unchanging: object) -> None:
        self.model: Any = model
        self.fields = list(model._meta.concrete_fields)
        self.columns = [field.column for field in self.fields]
        blank = model(**unchanging)
        self._base = [_converter(field)(field.pre_save(blank, True)) for field in self.fields]
        self._set = {field.attname: (index, _converter(field)) for index, field in enumerate(self.fields)}

    def row(self, **values: object) -> Row:
        """The columns in their order; values as the model has them, by attribute name (`loan_id`)."""
        row = self._base.copy()
        for name, value in values.items():
            index, convert = self._set[name]
            row[index] = convert(value)
        return row

    def insert(self, rows: Iterable[Row]) -> int:
        """Write them; returns how many there were."""
        return _INSERT[connection.vendor](self, rows)


def _converter(field: Any) -> Callable[[Any], Any]:
    """What makes a column's value of the model's value."""
    if field.is_relation:
        return _converter(field.target_field)
    convert: Callable[[Any], Any]
    if isinstance(field, models.UUIDField):
        convert = _same if connection.features.has_native_uuid_field else _hex
    elif isinstance(field, Uint256Field):
        convert = _digits
    elif isinstance(field, models.JSONField):
        convert = _same if connection.vendor == "mongodb" else json.dumps
    elif isinstance(field, models.DateTimeField):
        convert = _utc if connection.vendor == "sqlite" else _same
    elif isinstance(field, models.DateField):
        convert = partial(field.get_db_prep_save, connection=connection)
    else:
        convert = _same
    return lambda value: None if value is None else convert(value)


def _hex(value: Any) -> str:
    return str(value.hex)


def _digits(value: object) -> str | None:
    return None if value == "" else str(value).zfill(UINT256_DIGITS)


def _utc(value: Any) -> str:
    return str(timezone.make_naive(value, dt.UTC))


def _same(value: object) -> object:
    return value


def _insert_sqlite(table: Table, rows: Iterable[Row]) -> int:
    names = ", ".join(f'"{column}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    statement = f'INSERT INTO "{table.model._meta.db_table}" ({names}) VALUES ({marks})'  # noqa: S608
    count = 0
    raw = connection.connection
    for batch in row_batches(rows):
        raw.execute("BEGIN")
        raw.executemany(statement, batch)
        raw.execute("COMMIT")
        count += len(batch)
    return count


def _insert_postgres(table: Table, rows: Iterable[Row]) -> int:
    names = ", ".join(f'"{column}"' for column in table.columns)
    count = 0
    with connection.connection.cursor() as cursor:
        for batch in row_batches(rows):
            with cursor.copy(f'COPY "{table.model._meta.db_table}" ({names}) FROM STDIN') as copy:
                for row in batch:
                    copy.write_row(row)
            count += len(batch)
    return count


def _insert_mongodb(table: Table, rows: Iterable[Row]) -> int:
    collection = cast(Any, connection).database[table.model._meta.db_table]
    count = 0
    for batch in row_batches(rows):
        collection.insert_many([dict(zip(table.columns, row, strict=True)) for row in batch], ordered=False)
        count += len(batch)
    return count


_INSERT: dict[str, Callable[[Table, Iterable[Row]], int]] = {
    "sqlite": _insert_sqlite,
    "postgresql": _insert_postgres,
    "mongodb": _insert_mongodb,
}


def row_batches(rows: Iterable[Row], size: int = BATCH) -> Iterator[list[Row]]:
    """The rows in lists of at most `size`."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


@contextmanager
def without_indexes(tables: Iterable[object]) -> Iterator[None]:
    """Within, these models' tables have no secondary indexes (they are built at the end, which is faster), and rows may
    come in any order: references are not looked after.
    """
    chosen = list(tables)
    connection.ensure_connection()
    for model in chosen:
        _with_indexes(model, "remove_index")
    if connection.vendor == "sqlite":  # after the schema editors, which look after references again
        for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -400000"):
            connection.connection.execute(f"PRAGMA {pragma}")
    if connection.vendor == "postgresql":
        connection.connection.execute("SET session_replication_role = replica")
    yield
    for model in chosen:
        _with_indexes(model, "add_index")
    _settle()


def _with_indexes(model: Any, act: str) -> None:
    for index in model._meta.indexes:
        with connection.schema_editor(atomic=False) as editor:
            getattr(editor, act)(model, index)


def _settle() -> None:
    """Do what a database otherwise does later by itself: statistics for the planner, the log written back."""
    if connection.vendor == "sqlite":
        for statement in ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA synchronous = FULL"):
            connection.connection.execute(statement)
        connection.connection.execute("PRAGMA foreign_keys = ON")
    if connection.vendor == "postgresql":
        connection.connection.execute("SET session_replication_role = DEFAULT")
        connection.connection.execute("VACUUM ANALYZE")
