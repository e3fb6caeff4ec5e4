"""The compilers Django asks for by name, each with our guards."""

from typing import Any

from django.db import NotSupportedError
from django_mongodb_backend import compiler

from partner_platform.core.mongodb.query import MongoQuery


class _Guarded:
    """A statement whose errors are Django's and doom its transaction."""

    connection: Any
    query_class = MongoQuery

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        with self.connection.translated_errors():
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]


class SQLCompiler(_Guarded, compiler.SQLCompiler):
    pass


class SQLInsertCompiler(_Guarded, compiler.SQLInsertCompiler):
    pass


class SQLDeleteCompiler(_Guarded, compiler.SQLDeleteCompiler):
    pass


class SQLAggregateCompiler(_Guarded, compiler.SQLAggregateCompiler):
    pass


class SQLUpdateCompiler(_Guarded, compiler.SQLUpdateCompiler):
    """An update that reads its own table only."""

    def update(self, criteria: Any, pipeline: Any) -> int:
        if self.subqueries:
            raise NotSupportedError(
                "update() with a subquery is silently wrong on MongoDB: read the ids first (docs/databases.md, rule 6)"
            )
        return int(super().update(criteria, pipeline))
