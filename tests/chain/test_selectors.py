"""Reads of the engine's records: whose, which, and in which order."""

import datetime as dt
import itertools
from typing import Any

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from chain import selectors
from chain.models import (
    SYSTEM_CURSOR,
    ChainEvent,
    ChainTransaction,
    Operation,
    PlatformWallet,
    TransactionAttempt,
    WatchCursor,
    WatchedBlock,
)
from partner_platform.core import clock
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _without_a_key(settings: Settings) -> None:
    """Whatever node was started before, and its key with it."""
    settings.PLATFORM_PRIVATE_KEY = ""


def operation(age: int = 0, **fields: Any) -> Operation:
    """An operation made so many seconds ago."""
    made = OperationFactory.create(**{"chain_id": settings.CHAIN_ID, **fields})
    Operation.objects.filter(pk=made.pk).update(created_at=clock.now() - dt.timedelta(seconds=age))
    return made


def wallet(**fields: Any) -> PlatformWallet:
    return PlatformWallet.objects.create(address=f"0x{next(_numbers):040x}", chain_id=5003, fee_cap_wei=1, **fields)


def transaction(owner: PlatformWallet, nonce: int, state: str = "BROADCAST") -> ChainTransaction:
    return ChainTransaction.objects.create(wallet=owner, nonce=nonce, gas_limit=1, state=state)


def event(
    block: int, log: int, position: int | None = None, name: str = "SeniorPool.DebtUpdated", **fields: Any
) -> ChainEvent:
    return ChainEvent.objects.create(
        block_number=block,
        log_index=log,
        block_hash="0x01",
        block_time=1,
        tx_hash="0x02",
        name=name,
        position_id=position,
        args={},
        **fields,
    )


def keys(found: list[Operation]) -> list[str]:
    return [one.key for one in found]


def test_unacknowledged_are_final_of_one_kind_and_the_oldest_come_first() -> None:
    newer, older = operation(1, state="CONFIRMED"), operation(2, state="FAILED")
    oldest = operation(3, state="REFUSED")
    for state in ("QUEUED", "BUNDLED", "EXECUTED", "NEEDS_REVIEW"):
        operation(9, state=state)
    operation(9, state="CONFIRMED", acknowledged=True)
    operation(9, state="CONFIRMED", kind="other")
    assert keys(selectors.unacknowledged("test", 10)) == keys([oldest, older, newer])
    assert keys(selectors.unacknowledged("test", 2)) == keys([oldest, older])


def test_which_of_these_are_unacknowledged_in_the_order_of_blocks_those_without_one_first() -> None:
    late, early = operation(state="CONFIRMED", block_number=9), operation(state="FAILED", block_number=7)
    nowhere = operation(state="REFUSED", settle_after=clock.now())
    done = operation(state="CONFIRMED", block_number=8, acknowledged=True)
    waiting, other = operation(state="EXECUTED", block_number=6), operation(state="CONFIRMED", block_number=5)
    asked = [one.pk for one in (late, early, nowhere, done, waiting)]
    assert selectors.unacknowledged_among(asked) == [(0, nowhere.pk), (7, early.pk), (9, late.pk)]
    assert other.pk not in asked


def test_reopened_are_of_one_kind_and_the_newest_come_first() -> None:
    older, newer = operation(2, reopened=True), operation(1, reopened=True)
    operation(0)
    operation(0, reopened=True, kind="other")
    assert keys(selectors.reopened("test", 10)) == keys([newer, older])
    assert keys(selectors.reopened("test", 1)) == keys([newer])


def test_queued_are_the_oldest_first() -> None:
    newer, older = operation(1), operation(2)
    operation(9, state="BUNDLED")
    operation(9, chain_id=settings.CHAIN_ID + 1)
    assert keys(selectors.queued_operations(10)) == keys([older, newer])
    assert keys(selectors.queued_operations(1)) == keys([older])
    assert keys(selectors.queued_operations(10, without=[older.pk])) == keys([newer])
    assert selectors.queued_operations(10, without=[older.pk, newer.pk]) == []


@pytest.mark.parametrize(
    ("status", "state", "queued", "live"),
    [
        ("ACTIVE", None, False, False),
        ("ACTIVE", None, True, True),
        ("PAUSED", None, True, False),
        ("FROZEN", None, True, False),
        ("FROZEN", "SIGNED", False, True),
        ("ACTIVE", "BROADCAST", False, True),
        ("ACTIVE", "MINED", False, True),
        ("ACTIVE", "CONFIRMED", False, False),
        ("ACTIVE", "NEEDS_REVIEW", False, False),
    ],
)
def test_a_driver_has_work_while_something_is_followed_or_may_be_bundled(
    status: str, state: str | None, queued: bool, live: bool
) -> None:
    mine, other = wallet(status=status), wallet()
    transaction(other, 1)
    operation(chain_id=settings.CHAIN_ID + 1)
    if state:
        transaction(mine, 1, state)
    if queued:
        operation()
    assert selectors.has_live_work(mine) is live


def test_live_transactions_are_of_one_wallet_in_nonce_order_with_their_attempts(django_assert_num_queries: Any) -> None:
    mine, other = wallet(), wallet()
    transaction(other, 5)
    for nonce, state in ((3, "MINED"), (1, "SIGNED"), (2, "BROADCAST"), (0, "CONFIRMED"), (4, "CANCELLED")):
        made = transaction(mine, nonce, state)
        TransactionAttempt.objects.create(
            transaction=made,
            raw="0x",
            tx_hash=f"0x{next(_numbers):064x}",
            max_fee_per_gas_wei=1,
            max_priority_fee_per_gas_wei=1,
        )
    with django_assert_num_queries(2):
        found = selectors.live_transactions(mine)
        assert [len(one.attempts.all()) for one in found] == [1, 1, 1]
    assert [one.nonce for one in found] == [1, 2, 3]


def test_operations_are_in_the_order_of_their_bundle() -> None:
    mine = wallet()
    first, second, empty = (transaction(mine, nonce) for nonce in range(3))
    second_of_first = operation(transaction=first, position_in_bundle=1)
    first_of_first = operation(transaction=first, position_in_bundle=0)
    of_second = operation(transaction=second)
    operation()
    found = selectors.operations_of([first, second, empty])
    assert {key: keys(ones) for key, ones in found.items()} == {
        first.pk: keys([first_of_first, second_of_first]),
        second.pk: keys([of_second]),
        empty.pk: [],
    }


def test_unapplied_events_come_in_the_order_of_the_chain_from_behind_a_place() -> None:
    places = [(5, 1), (5, 2), (6, 0), (7, 3)]
    for block, log in reversed(places):
        event(block, log)
    event(5, 0, applied=True)

    def found(limit: int, **after: Any) -> list[tuple[int, int]]:
        return [(one.block_number, one.log_index) for one in selectors.unapplied_events(limit, **after)]

    assert found(10) == places
    assert found(2) == places[:2]
    assert found(10, after=(5, 1)) == places[1:]
    assert found(10, after=(5, 2)) == places[2:]
    assert found(10, after=(6, 0)) == places[3:]
    assert found(10, after=(0, 0)) == places


def test_positions_with_events_since_a_block() -> None:
    event(4, 0, 1)
    event(5, 0, 2)
    event(6, 0, 3)
    event(6, 1, None)
    assert selectors.positions_since(5) == {2, 3}


def test_a_positions_events_are_of_the_wanted_kinds_and_contracts() -> None:
    wanted = [event(6, 1, 1, "Vault.Opened"), event(5, 9, 1, "Other.Closed")]
    event(5, 1, 1, "Vault.Moved")
    event(5, 2, 1, "Third.Opened")
    event(5, 3, 2, "Vault.Opened")
    found = selectors.position_events(1, events=["Opened", "Closed"], contracts=["Vault", "Other"])
    assert [one.pk for one in found] == [wanted[1].pk, wanted[0].pk]


def test_the_last_event_before_a_place() -> None:
    first = event(5, 1, 1, "A.B")
    second = event(5, 3, 1, "C.D")
    third = event(6, 0, 1, "A.B")
    event(5, 2, 2)

    def before(block: int, log: int, name: str = "") -> Any:
        found = selectors.last_event_before(1, block_number=block, log_index=log, name=name)
        return found.pk if found else None

    assert before(5, 1) is None
    assert before(5, 2) == first.pk
    assert before(5, 3) == first.pk
    assert before(5, 4) == before(6, 0) == second.pk
    assert before(6, 1) == before(7, 0) == third.pk
    assert before(6, 0, "A.B") == first.pk


def test_operations_by_uid_are_found_however_many_are_asked_for() -> None:
    mine = [operation() for _ in range(3)]
    operation()
    unknown = [f"0x{10**9 + number:064x}" for number in range(1_001)]
    found = selectors.operations_by_uid([*unknown, *(one.uid for one in mine), mine[0].uid])
    assert {uid: one.pk for uid, one in found.items()} == {one.uid: one.pk for one in mine}


def test_open_operations_are_those_that_are_not_final() -> None:
    for state in ("QUEUED", "BUNDLED", "EXECUTED", "NEEDS_REVIEW", "CONFIRMED", "REFUSED", "FAILED"):
        operation(state=state)
    assert selectors.open_operations_query().count() == 4


# --- wallets ---

KEY, PLATFORMS = "0x" + "11" * 32, "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


def platforms(settings: Settings) -> PlatformWallet:
    settings.CHAIN_ID, settings.PLATFORM_PRIVATE_KEY = 5003, KEY
    return PlatformWallet.objects.create(address=PLATFORMS, chain_id=5003, fee_cap_wei=1)


def test_a_wallet_is_retired_where_another_key_signs(settings: Settings) -> None:
    mine, old = platforms(settings), wallet()
    assert (selectors.is_retired(mine), selectors.is_retired(old)) == (False, True)
    settings.PLATFORM_PRIVATE_KEY = ""
    assert (selectors.is_retired(mine), selectors.is_retired(old)) == (False, False)


def test_wallets_to_look_at_are_not_active_or_have_an_incident_or_something_under_way(settings: Settings) -> None:
    mine = platforms(settings)
    quiet, frozen, paused = wallet(), wallet(status="FROZEN"), wallet(status="PAUSED")
    undone, busy = wallet(incident="a reorg undid it"), wallet()
    transaction(quiet, 0, "CONFIRMED")
    transaction(busy, 0, "SIGNED")
    PlatformWallet.objects.create(address=PLATFORMS, chain_id=1, fee_cap_wei=1, status="FROZEN")
    for age, row in enumerate([busy, undone, paused, frozen, quiet, mine]):
        PlatformWallet.objects.filter(pk=row.pk).update(created_at=clock.now() - dt.timedelta(seconds=age))
    assert selectors.wallets_to_look_at() == [frozen, paused, undone, busy]
    assert selectors.wallets_of_the_chain() == [mine, quiet, frozen, paused, undone, busy]


def test_a_retired_wallet_is_followed_until_its_comparison_after_a_restore_is_over(settings: Settings) -> None:
    platforms(settings)
    old = wallet(scan_pending=True)
    assert selectors.retired_wallets() == [old]
    PlatformWallet.objects.update(scan_pending=False)
    assert selectors.retired_wallets() == []


@pytest.mark.parametrize(
    ("final", "verified", "fields", "is_followed"),
    [
        (9, 12, {}, True),
        (9, 10, {}, True),
        (10, 12, {}, False),  # it is final
        (9, 9, {}, False),  # it was adopted after the wallet was driven last
        (None, 12, {}, True),
        (None, None, {}, False),
        (9, 12, {"state": "REFUSED"}, False),
    ],
)
def test_a_retired_wallet_is_followed_until_what_was_adopted_under_it_is_final(
    settings: Settings, final: int | None, verified: int | None, fields: dict[str, Any], is_followed: bool
) -> None:
    mine = platforms(settings)
    old = wallet(final_block=final, verified_block=verified)
    operation(**{"state": "CONFIRMED", "block_number": 10, **fields})
    operation(state="CONFIRMED", block_number=10, transaction=transaction(mine, 0, "CONFIRMED"))
    assert selectors.retired_wallets() == ([old] if is_followed else [])


def test_what_the_platforms_wallet_carried_is_no_concern_of_a_retired_one(settings: Settings) -> None:
    mine = platforms(settings)
    wallet(final_block=9, verified_block=12)
    operation(state="CONFIRMED", block_number=10, transaction=transaction(mine, 0, "CONFIRMED"))
    ChainTransaction.objects.update(block_number=10)
    transaction(mine, 1, "BROADCAST")
    assert selectors.retired_wallets() == []


def test_reopened_ones_that_were_put_off_come_after_the_others_and_fill_the_limit_only() -> None:
    over = clock.now() - dt.timedelta(seconds=1)
    fresh = operation(1, state="BUNDLED", reopened=True)
    first, second, _ = (
        operation(9, state="BUNDLED", reopened=True, settle_after=over - dt.timedelta(seconds=age)) for age in (3, 2, 1)
    )
    assert keys(selectors.reopened("test", 3)) == keys([fresh, first, second])
    assert keys(selectors.reopened("test", 1)) == keys([fresh])


def test_the_last_block_that_the_watcher_read_is_none_before_it_began() -> None:
    WatchCursor.objects.all().delete()
    assert selectors.watched_until() == -1
    WatchCursor.objects.create(name=SYSTEM_CURSOR, next_block=8)
    assert selectors.watched_until() == 7


def test_a_block_is_replaced_where_another_hash_is_kept_or_where_none_is_and_it_left_no_event(
    settings: Settings,
) -> None:
    settings.WATCH_FROM_BLOCK = 3
    WatchCursor.objects.create(name=SYSTEM_CURSOR, next_block=12, verified_block=5)
    for number in (9, 10, 11):
        WatchedBlock.objects.create(number=number, hash=f"0x{number:02x}")
    event(5, 0)
    places = {
        (10, "0x0a"): False,
        (10, "0xother"): True,
        (12, "0xnot read yet"): False,
        (5, "0x01"): False,  # its event has this hash
        (5, "0xother"): True,  # its event has another one
        (6, "0x01"): True,  # no event
        (2, "0x01"): False,  # older than anything that was read
    }
    assert selectors.replaced_blocks(set(places)) == {place for place, is_replaced in places.items() if is_replaced}


def test_blocks_that_settlement_has_not_compared_are_those_above_the_final_block_of_their_wallet() -> None:
    mine, other, fresh = wallet(final_block=10), wallet(final_block=20), wallet()
    for owner, number in ((mine, 10), (mine, 11), (mine, 30), (other, 15), (other, 21), (fresh, 1)):
        carried = transaction(owner, number, "CONFIRMED")
        ChainTransaction.objects.filter(pk=carried.pk).update(block_number=number)
    transaction(mine, 99)  # in no block
    operation(state="CONFIRMED", block_number=22)
    operation(state="CONFIRMED", block_number=20)
    operation(state="FAILED", block_number=23)
    assert selectors.blocks_to_compare(below=30) == [1, 11, 21, 22]
