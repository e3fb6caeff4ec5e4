"""When the audit trail's head is anchored, and what is told of it; the chain itself is tests/audit's."""

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain import anchoring
from chain.anchoring import ACTOR, KIND, anchor_due
from chain.models import Operation
from partner_platform.core import clock
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db(transaction=True)

DAY = dt.date(2026, 1, 5)
CONTRACT, EXECUTOR = "0x" + "Ac" * 20, "0x" + "e1" * 20
HEAD = "ab" * 32
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _a_day_with_something_to_anchor(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUDIT_ANCHOR_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS = CONTRACT, EXECUTOR
    monkeypatch.setattr(clock, "today", lambda: DAY)
    block = SimpleNamespace(hash=HEAD, last_sequence=77)
    monkeypatch.setattr(anchoring, "newest_block", lambda: block)
    monkeypatch.setattr("chain.services.wake_driver", lambda: None)


def attempted(attempt: int, state: str, **fields: Any) -> Operation:
    values = {"key": f"anchor:2026-01-05:{attempt}", "kind": KIND, "acknowledged": True}
    return OperationFactory.create(state=state, **{**values, **fields})


def told(action: str) -> list[Any]:
    return list(AuditEntry.objects.filter(action=action, actor=ACTOR).values_list("target", "after"))


def test_the_head_is_anchored_under_the_days_first_key_and_the_request_is_in_the_trail() -> None:
    operation = anchor_due()
    assert operation is not None
    assert (operation.key, operation.kind) == ("anchor:2026-01-05:1", KIND)
    (call,) = operation.calls
    assert (call["to"], call["value"]) == (CONTRACT, 0)
    assert call["data"][10:] == HEAD + f"{77:064x}"
    (effect,) = operation.effect
    assert (effect["address"], effect["data"]) == (CONTRACT.lower(), "0x" + HEAD)
    assert effect["topics"][1:] == ["0x" + "0" * 24 + "e1" * 20, f"0x{77:064x}"]
    after = {"key": operation.key, "sequence": 77, "head": HEAD}
    assert told("audit.anchor_requested") == [(f"operation:{operation.pk}", after)]
    assert anchor_due() is None


@pytest.mark.parametrize("state", ["QUEUED", "BUNDLED", "EXECUTED", "CONFIRMED", "NEEDS_REVIEW"])
def test_one_that_is_under_way_or_done_is_not_repeated(state: str) -> None:
    attempted(1, state)
    assert anchor_due() is None
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("state", ["REFUSED", "FAILED"])
def test_one_that_came_to_nothing_is_tried_again_five_times_a_day_in_all(state: str) -> None:
    for attempt in range(1, 5):
        attempted(attempt, state)
    operation = anchor_due()
    assert operation is not None
    assert operation.key == "anchor:2026-01-05:5"
    Operation.objects.filter(pk=operation.pk).update(state=state, acknowledged=True)
    assert anchor_due() is None


@pytest.mark.parametrize("missing", ["AUDIT_ANCHOR_ADDRESS", "PLATFORM_EXECUTOR_ADDRESS"])
def test_nothing_is_anchored_without_a_contract_or_an_executor(settings: Settings, missing: str) -> None:
    setattr(settings, missing, "")
    assert anchor_due() is None
    assert anchoring.read_anchors() is None
    assert Operation.objects.count() == 0


def test_nothing_is_anchored_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchoring, "newest_block", lambda: None)
    assert anchor_due() is None
    assert Operation.objects.count() == 0


def test_another_worker_that_was_first_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    attempted(1, "QUEUED")
    monkeypatch.setattr(anchoring, "_free_key", lambda _: "anchor:2026-01-05:1")
    assert anchor_due() is None
    assert told("audit.anchor_requested") == []


@pytest.mark.parametrize(
    ("state", "action", "errors"),
    [
        ("CONFIRMED", "audit.anchored", []),
        ("FAILED", "audit.anchor_failed", ["the audit trail could not be anchored: FAILED out of luck"]),
        ("REFUSED", "audit.anchor_failed", ["the audit trail could not be anchored: REFUSED out of luck"]),
    ],
)
def test_what_became_of_one_is_told_once(
    caplog: pytest.LogCaptureFixture, state: str, action: str, errors: list[str]
) -> None:
    operation = attempted(1, state, acknowledged=False, reason="out of luck", tx_hash="0xab", block_number=5)
    anchor_due()
    anchor_due()
    after = {"state": state, "transactionHash": "0xab", "blockNumber": 5, "reason": "out of luck"}
    assert told(action) == [(f"operation:{operation.pk}", after)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == errors
    assert Operation.objects.get(pk=operation.pk).acknowledged is True


def test_one_that_a_reorg_undid_is_told_again_once_it_is_final_again() -> None:
    operation = attempted(1, "CONFIRMED", reopened=True)
    anchor_due()
    found = Operation.objects.get(pk=operation.pk)
    assert (found.reopened, found.acknowledged) == (False, True)
    assert len(told("audit.anchored")) == 1
