"""Entries from before the chain keep what they say, are signed by the migration and sealed like new ones."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from audit.models import AuditEntry
from audit.trail import sealing
from audit.trail.verification import verify_trail

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([("audit", name)])
    return executor.loader.project_state([("audit", name)]).apps


def migrate_all() -> None:
    """To the newest migrations of every app: those of others need audit's, so they were taken back with them."""
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def before_the_chain() -> Iterator[Any]:
    yield migrate("0001_initial")
    migrate_all()


def test_entries_of_the_first_version_are_carried_over(before_the_chain: Any) -> None:
    old = before_the_chain.get_model("audit", "AuditEntry")
    old(actor="a", action="b.c", target="d:1", before=None, after={"z": 1, "a": ["é", None]}, request_id="r").save()
    old(actor="a", action="b.c", target="d:2", before={"x": "1"}, after=None).save()
    migrate_all()
    first, second = AuditEntry.objects.order_by("target")
    assert (first.before, first.after, first.request_id) == (None, {"z": 1, "a": ["é", None]}, "r")
    assert (second.before, second.after) == ({"x": "1"}, None)
    assert sealing.seal_due().entries == 2
    assert verify_trail(with_anchors=False).findings == []
