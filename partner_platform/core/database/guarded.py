"""Guarded updates: a row is written only while it still holds what the decision was made on."""

from typing import Any, TypeVar

from django.db.models import Manager, Model, QuerySet

M = TypeVar("M", bound=Model)


class GuardedQuerySet(QuerySet[M]):
    """Rows that are written by `as_read(row, "status", …).update(…)`: 1 where the row was as read, 0 where not."""

    def as_read(self, row: Model | Any, *names: str) -> "GuardedQuerySet[M]":
        """The row's own row, where these columns hold what was read; whoever changed one of them since was first."""
        return self.filter(pk=row.pk, **{name: getattr(row, name) for name in names})


GuardedManager = Manager.from_queryset(GuardedQuerySet)
