"""A trail to write, seal and tamper with."""

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django_redis import get_redis_connection

from audit.models import AuditEntry
from audit.services import record_change


@pytest.fixture(autouse=True)
def _redis_without_memory() -> Iterator[None]:
    """What Redis remembers of another test's trail is not of this one's."""
    forget_in_redis()
    yield
    forget_in_redis()


def forget_in_redis() -> None:
    cache.clear()
    get_redis_connection("default").delete("audit:head", "audit:committed")


@pytest.fixture
def write() -> Callable[[int], list[AuditEntry]]:
    """Write so many entries, each in a change of its own."""

    def write_entries(count: int) -> list[AuditEntry]:
        return [
            record_change(
                actor=f"staff:user-{number}",
                action="partner.updated",
                target=f"partner:{number}",
                before={"limit": "1", "name": "é\x00\ud800"},
                after={"limit": "2", "nested": {"b": 1, "a": [None, True, 1.5]}},
            )
            for number in range(count)
        ]

    return write_entries
