"""Rows as the driver returns them, for code that reads millions.

Django turns each stored value into the model's: a `uuid.UUID` costs more than fetching its row. A pass over a million
loans uses most values only to compare them with each other, so it reads them as they are stored and converts the few
that it reports. Measured, columns of a loan: 24 µs a row instead of 6 on SQLite, 50 instead of 14 on MongoDB
(docs/databases.md).

How values are stored: keys are UUIDs on PostgreSQL, their hex on the others; a uint256 is text of 78 digits, days are
datetimes on MongoDB. Amounts are integers everywhere.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.db.models.fields.related import ForeignObject
from django.db.models.lookups import In
from django.db.models.sql.constants import MULTI

from partner_platform.core.fields import UINT256_DIGITS

ZERO_UINT256 = "0" * UINT256_DIGITS


def stored_rows(query: QuerySet[Any, Any]) -> Iterator[Any]:
    """The rows of a `values_list()`, each a sequence of its columns as they are stored."""
    for chunk in query.query.get_compiler(using=query.db).execute_sql(MULTI):
        yield from chunk


class StoredIn(In):
    """`filter(loan_id__stored_in=keys)`: as `in`, with keys as they are stored, which are not prepared once more."""

    prepare_rhs = False

    def get_prep_lookup(self) -> list[object]:
        return list(self.rhs)

    def batch_process_rhs(self, compiler: Any, connection: Any, rhs: Any = None) -> tuple[list[str], list[Any]]:
        values = list(self.rhs if rhs is None else rhs)
        return ["%s"] * len(values), values


# Under a name of its own; what it compiles to is `in` on every engine.
models.Field.register_lookup(StoredIn, "stored_in")
ForeignObject.register_lookup(StoredIn, "stored_in")


def as_uuid(stored: Any) -> uuid.UUID:
    """A stored key."""
    return stored if isinstance(stored, uuid.UUID) else uuid.UUID(stored)


def as_day(stored: Any) -> dt.date:
    """A stored day."""
    return stored.date() if isinstance(stored, dt.datetime) else stored
