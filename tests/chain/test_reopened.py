"""Which operations a reorg marks for their owner: those that it undid and that were acted on, and no other."""

from typing import Any

import pytest

from chain.models import Operation
from chain.settlement import reorgs
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db


def operation(key: str, state: str, *, acknowledged: bool, **fields: Any) -> Operation:
    return OperationFactory.create(key=key, state=state, acknowledged=acknowledged, **fields)


def test_those_that_were_acted_on_and_are_not_final_any_more_are_marked() -> None:
    undone = operation("undone", "BUNDLED", acknowledged=True)
    untold = operation("untold", "BUNDLED", acknowledged=False)
    again = operation("final by now", "CONFIRMED", acknowledged=True)
    operation("another", "BUNDLED", acknowledged=True)
    before = Operation.objects.get(key="another").updated_at
    reorgs._reopen([undone, untold, again])
    assert [row.key for row in Operation.objects.filter(reopened=True)] == ["undone"]
    assert Operation.objects.get(key="another").updated_at == before
