"""What other apps ask of the engine, each with rows beside that it may not touch."""

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from chain import services
from chain.lending.encoding import Call, uid_of
from chain.models import ChainEvent, Operation, PlatformWallet
from partner_platform.core import backoff, clock
from partner_platform.core.database.transactions import run_in_transaction
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db(transaction=True)

_numbers = itertools.count(1)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time the driver was woken."""
    found: list[str] = []
    monkeypatch.setattr(services, "wake_driver", lambda: found.append("woken"))
    return found


def operation(state: str = "CONFIRMED", **fields: Any) -> Operation:
    return OperationFactory.create(state=state, **{"block_hash": "0xb1", **fields})


def event(block: int, position: int | None, *, applied: bool = False) -> ChainEvent:
    return ChainEvent.objects.create(
        block_number=block,
        log_index=next(_numbers),
        block_hash="0x01",
        block_time=1,
        tx_hash="0x02",
        name="A.B",
        position_id=position,
        args={},
        applied=applied,
    )


def wallet(status: str, **fields: Any) -> PlatformWallet:
    return PlatformWallet.objects.create(
        address=f"0x{next(_numbers):040x}", chain_id=5003, fee_cap_wei=1, status=status, **fields
    )


def flags(*operations: Operation) -> list[tuple[bool, bool]]:
    found = {one.pk: (one.acknowledged, one.reopened) for one in Operation.objects.all()}
    return [found[one.pk] for one in operations]


def test_an_operation_is_taken_with_all_that_it_needs_and_the_driver_is_woken_after_the_commit(
    woken: list[str],
) -> None:
    calls = [Call("0xa1", 5, "0x12")]
    effect: list[dict[str, Any]] = [{"address": "0xb2", "topics": [], "data": None}]

    def take() -> Operation:
        made = services.enqueue(key="borrow:1", kind="borrow", calls=calls, effect=effect)
        assert woken == []
        return made

    made = Operation.objects.get(pk=run_in_transaction(take).pk)
    assert (made.key, made.uid, made.kind, made.state) == ("borrow:1", uid_of("borrow:1"), "borrow", "QUEUED")
    assert (made.calls, made.effect) == ([{"to": "0xa1", "value": 5, "data": "0x12"}], effect)
    assert woken == ["woken"]
    with pytest.raises(IntegrityError):
        run_in_transaction(take)
    assert woken == ["woken"]


@pytest.mark.parametrize(
    "changed",
    [{"acknowledged": True}, {"state": "FAILED"}, {"block_hash": "0xb2"}],
    ids=lambda changed: next(iter(changed)),
)
def test_an_outcome_is_acknowledged_once_and_as_it_was_read(changed: dict[str, Any]) -> None:
    bystander, mine = operation(), operation()
    seen = Operation.objects.get(pk=mine.pk)
    Operation.objects.filter(pk=mine.pk).update(**changed)
    assert services.acknowledge(operation=seen) is False
    as_it_is = Operation.objects.get(pk=mine.pk)
    assert services.acknowledge(operation=as_it_is) is not as_it_is.acknowledged
    assert flags(mine, bystander) == [(True, False), (False, False)]


def test_many_are_acknowledged_together_or_not() -> None:
    operations = [
        operation(),
        operation("FAILED", block_hash="0xb2"),
        operation(block_hash="0xb3"),
        operation("REFUSED"),
    ]
    bystander = operation()
    assert services.acknowledge_all(operations=operations) is True
    assert flags(*operations, bystander) == [(True, False)] * 4 + [(False, False)]
    assert services.acknowledge_all(operations=[operations[0], bystander]) is False
    assert services.acknowledge_all(operations=[]) is True


@pytest.mark.parametrize(("failures", "pause"), [(0, 2), (1, 4), (3, 16)])
def test_what_failed_again_is_put_off_for_twice_as_long(
    monkeypatch: pytest.MonkeyPatch, failures: int, pause: int
) -> None:
    now = dt.datetime(2026, 1, 6, 9, 30, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: now))
    mine, bystander = operation(acknowledged=False, settle_failures=failures), operation(acknowledged=False)
    until = services.put_off(operation=mine, why="no word")
    assert pause <= (until - now).total_seconds() <= pause * (1 + backoff.SPREAD)
    mine.refresh_from_db()
    assert (mine.settle_failures, mine.settle_after, mine.settle_error) == (failures + 1, until, "no word")
    assert Operation.objects.get(pk=bystander.pk).settle_after is None


def test_what_was_put_off_is_looked_at_again_unless_it_was_acted_on() -> None:
    later = clock.now()
    mine, done, bystander = (
        operation(acknowledged=acknowledged, settle_after=later) for acknowledged in (False, True, False)
    )
    services.retry_operations_now(operation_ids=[mine.pk, done.pk])
    left = set(Operation.objects.filter(settle_after__isnull=False).values_list("pk", flat=True))
    assert left == {done.pk, bystander.pk}


def test_what_was_taken_back_is_acknowledged_as_reopened_once() -> None:
    mine, bystander = (operation(acknowledged=True, reopened=True) for _ in range(2))
    assert services.acknowledge_reopened(operation_id=mine.pk) is True
    assert services.acknowledge_reopened(operation_id=mine.pk) is False
    assert flags(mine, bystander) == [(False, False), (True, True)]


@pytest.mark.parametrize(("acknowledged", "reopened"), [(True, True), (True, False)])
def test_a_state_is_acted_on_again_after_its_owner_took_it_back(acknowledged: bool, reopened: bool) -> None:
    mine, bystander = (operation(acknowledged=acknowledged, reopened=reopened) for _ in range(2))
    services.unacknowledge(operation_id=mine.pk)
    assert flags(mine, bystander) == [(False, False), (acknowledged, reopened)]


def test_what_was_never_acted_on_is_not_taken_back() -> None:
    mine = operation(acknowledged=False, reopened=True)
    services.unacknowledge(operation_id=mine.pk)
    assert flags(mine) == [(False, True)]


def applied() -> set[UUID]:
    return set(ChainEvent.objects.filter(applied__in=[True]).values_list("pk", flat=True))


def test_events_are_noted_as_applied_however_many_there_are(django_assert_num_queries: Any) -> None:
    events, bystander = [event(5, 1) for _ in range(3)], event(5, 1)
    with django_assert_num_queries(2):
        services.note_applied(event_ids=[*(UUID(int=number) for number in range(500)), *(one.pk for one in events)])
    assert applied() == {one.pk for one in events}
    assert bystander.pk not in applied()


def test_who_notes_events_is_told_whether_all_were_still_to_be_applied() -> None:
    events = [event(5, 1) for _ in range(501)]
    ids = [one.pk for one in events]
    assert services.note_applied(event_ids=[]) is True
    assert services.note_applied(event_ids=ids[:500]) is True
    assert services.note_applied(event_ids=ids) is False  # but one was applied already
    assert services.note_applied(event_ids=[UUID(int=1)]) is False  # a reorg took it
    assert applied() == set(ids)


def test_a_positions_events_are_to_be_applied_again_from_a_block_on() -> None:
    before, other = event(4, 1, applied=True), event(9, 2, applied=True)
    for block in (5, 6):
        event(block, 1, applied=True)
    services.unapply_events(position_id=1, from_block=5)
    assert applied() == {before.pk, other.pk}


def test_whatever_works_is_frozen_with_the_reason(woken: list[str]) -> None:
    active, paused = wallet("ACTIVE"), wallet("PAUSED", status_reason="no gas money")
    frozen = wallet("FROZEN", status_reason="another")
    assert services.freeze_wallets(reason="r" * 301) == 3
    cut = "r" * 299 + "…"
    found = {one.pk: (one.status, one.status_reason) for one in PlatformWallet.objects.all()}
    assert found == {
        active.pk: ("FROZEN", cut),
        paused.pk: ("FROZEN", cut),
        frozen.pk: ("FROZEN", "another | " + "r" * 289 + "…"),  # 300 characters in all
    }
    assert services.freeze_wallets(reason="r" * 301) == 0
    assert set(PlatformWallet.objects.values_list("status_changes", flat=True)) == {1}
    assert woken == []


def test_one_wallet_is_frozen_by_its_address_and_none_of_another_chain() -> None:
    mine, bystander = wallet("ACTIVE"), wallet("ACTIVE")
    elsewhere = PlatformWallet.objects.create(address=mine.address, chain_id=1, fee_cap_wei=1)
    assert services.freeze_wallets(reason="why", address=mine.address) == 1
    assert set(PlatformWallet.objects.filter(status="FROZEN")) == {mine}
    assert services.freeze_wallets(reason="why") == 1
    assert set(PlatformWallet.objects.exclude(status="FROZEN")) == {elsewhere}
    assert PlatformWallet.objects.get(pk=bystander.pk).status_reason == "why"
