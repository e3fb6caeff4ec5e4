"""PostgreSQL's connections are kept, and one that is gone is noticed before a query is lost on it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from partner_platform.core.postgres import base
from partners.models import Partner

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.DB_ENGINE != "postgres", reason="about PostgreSQL's connections"),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The backend's process ids of the connections that were asked whether they are alive."""
    connection.close()
    found: list[int] = []
    is_usable = base.DatabaseWrapper.is_usable

    def noted(self: Any) -> bool:
        found.append(self.connection.info.backend_pid)
        return is_usable(self)

    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", noted)
    yield found
    connection.close()


def request() -> int:
    """What a request does with its connection; answers the backend's process id."""
    connection.close_if_unusable_or_obsolete()
    Partner.objects.count()
    pid: int = connection.connection.info.backend_pid
    connection.close_if_unusable_or_obsolete()
    return pid


def test_a_connection_that_was_just_used_is_kept_and_not_asked(asked: list[int]) -> None:
    assert len({request() for _ in range(5)}) == 1
    assert asked == []


def test_one_that_the_server_ended_is_replaced_before_the_query(asked: list[int]) -> None:
    pid = request()
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as other:
        ended = other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone()
    assert ended == (True,)
    assert request() != pid
    assert asked == [pid]


def test_one_that_rested_is_asked(asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    pid = request()
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 0.0)
    assert request() == pid
    assert asked == [pid]


def test_starting_a_request_without_using_the_connection_does_not_make_it_fresh(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("partner_platform.core.postgres.base.time.monotonic", lambda: now[0])
    pid = request()
    for _ in range(4):
        now[0] += base.TRUSTED_SECONDS / 2
        connection.close_if_unusable_or_obsolete()
    assert request() == pid
    assert asked == [pid]
