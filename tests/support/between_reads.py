"""Other processes' acts in the very moment between two reads of the thread under test.

Every read of the database and every post to the node is a point where others may have moved since the one before. The
acts run in threads of their own, with connections of their own, each to its end. Nothing is named that is read: a new
read is a new point by itself. Within transactions there are no points: others wait for those, or they for others.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from chain.rpc.clients import ChainClient
from tests.core.concurrency import at_once

Act = Callable[[], object]


class Points:
    """Counts the points of this thread; `at(number)` says what happens there (None: nothing)."""

    def __init__(self, at: Callable[[int], Act | None]) -> None:
        self.count = 0
        self._at = at
        self._thread = threading.get_ident()
        self._is_acting = False

    def pass_one(self) -> None:
        if threading.get_ident() != self._thread or self._is_acting or connection.in_atomic_block:
            return
        self.count += 1
        act = self._at(self.count)
        if act is None:
            return
        self._is_acting = True
        try:
            at_once(1, lambda _: act())
        finally:
            self._is_acting = False


@contextmanager
def between_reads(monkeypatch: pytest.MonkeyPatch, at: Callable[[int], Act | None]) -> Iterator[Points]:
    """Within, `at(1)`, `at(2)`, … happen before the first, the second, … read of this thread."""
    points = Points(at)
    compiler: Any = connection.ops.compiler("SQLCompiler")
    execute, batch = compiler.execute_sql, ChainClient.batch

    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        points.pass_one()
        return execute(self, *args, **kwargs)

    def post(self: Any, *args: Any, **kwargs: Any) -> Any:
        points.pass_one()
        return batch(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(compiler, "execute_sql", execute_sql)
        patched.setattr(ChainClient, "batch", post)
        yield points
