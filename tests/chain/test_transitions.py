"""What the chain said is written by guarded updates, and what nobody could do is for a person."""

import itertools
from typing import Any

import pytest

from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionState
from chain.settlement import transitions
from chain.settlement.reverts import requeue_bundle
from chain.settlement.transitions import (
    NO_TRANSACTION,
    Block,
    move_operations,
    move_transaction,
    store_verdicts,
)
from chain.settlement.verdicts import OperationVerdict
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db

_numbers = itertools.count(1)
LOG = {"address": "0x01", "topics": ["0x0a"], "data": "0x", "logIndex": "0x1"}


def transaction() -> ChainTransaction:
    wallet = PlatformWallet.objects.create(address=f"0x{next(_numbers):040x}", chain_id=5003, fee_cap_wei=1)
    return ChainTransaction.objects.create(wallet=wallet, nonce=next(_numbers), gas_limit=1)


def operation(state: str = "BUNDLED", **fields: Any) -> Operation:
    return OperationFactory.create(state=state, **fields)


def row(one: Operation) -> Operation:
    return Operation.objects.get(pk=one.pk)


def test_a_block_is_read_from_a_nodes_answer() -> None:
    block = Block.from_json({"number": "0x1f", "hash": "0xab", "timestamp": "0x3e8"})
    assert (block.number, block.hash, block.time.timestamp(), str(block.time.tzinfo)) == (31, "0xab", 1_000, "UTC")
    assert block.operation_fields() == {"block_number": 31, "block_hash": "0xab", "block_time": block.time}
    assert block.transaction_fields() == {"block_number": 31, "block_hash": "0xab"}


def test_operations_move_where_the_table_lets_them_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    bystander = operation()
    bundled, refused = operation(), operation("REFUSED")
    assert move_operations([bundled, refused], OperationState.EXECUTED, tx_hash="0xab") == 1
    assert (row(bundled).state, row(bundled).tx_hash) == ("EXECUTED", "0xab")
    assert (row(refused).state, row(refused).tx_hash) == ("REFUSED", "")
    assert row(bystander).state == "BUNDLED"
    assert [record.getMessage() for record in caplog.records] == ["1 of 2 operations could not become EXECUTED"]


def test_nothing_to_move_is_no_query(django_assert_num_queries: Any, caplog: pytest.LogCaptureFixture) -> None:
    with django_assert_num_queries(0):
        assert move_operations([], OperationState.EXECUTED) == 0
    one = operation()
    assert move_operations([one], OperationState.EXECUTED) == 1
    assert caplog.records == []


@pytest.mark.parametrize(("state", "moved"), [("BROADCAST", True), ("NEEDS_REVIEW", False), ("CONFIRMED", False)])
def test_a_transaction_moves_where_the_table_lets_it(state: str, moved: bool) -> None:
    other, mine = transaction(), transaction()
    ChainTransaction.objects.filter(pk=mine.pk).update(state=state)
    assert move_transaction(mine, TransactionState.MINED, mined_hash="0xab") is moved
    written = ChainTransaction.objects.get(pk=mine.pk)
    assert (written.state, written.mined_hash) == (("MINED", "0xab") if moved else (state, ""))
    assert ChainTransaction.objects.get(pk=other.pk).state == "SIGNED"


def test_verdicts_are_stored_each_with_its_logs_or_its_reason() -> None:
    good, better, bad, odd = (operation(reason="it waited") for _ in range(4))
    other_log = {**LOG, "logIndex": "0x2"}
    store_verdicts(
        [
            (good, OperationVerdict(OperationState.CONFIRMED, logs=[LOG])),
            (bad, OperationVerdict(OperationState.FAILED, "x" * 299 + "yz")),
            (better, OperationVerdict(OperationState.CONFIRMED, logs=[other_log])),
            (odd, OperationVerdict(OperationState.NEEDS_REVIEW, "look")),
        ],
        tx_hash="0xab",
    )
    found = [(row(one).state, row(one).reason, row(one).outcome_logs) for one in (good, better, bad, odd)]
    assert found == [
        ("CONFIRMED", "", [LOG]),
        ("CONFIRMED", "", [other_log]),
        ("FAILED", "x" * 299 + "y", None),
        ("NEEDS_REVIEW", "look", None),
    ]
    assert {row(one).tx_hash for one in (good, better, bad, odd)} == {"0xab"}


class OneDriver:
    """What `note_settled` needs of an engine."""

    def __init__(self) -> None:
        self.settled_keys: list[str] = []


def test_owners_are_told_of_what_is_final_and_a_person_of_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    engine: Any = OneDriver()
    states = (OperationState.CONFIRMED, OperationState.NEEDS_REVIEW, OperationState.REFUSED, OperationState.FAILED)
    operations = [operation() for _ in states]
    verdicts = [(one, OperationVerdict(state, "so it is")) for one, state in zip(operations, states, strict=True)]
    transitions.note_settled(engine, verdicts)
    assert engine.settled_keys == [operations[index].key for index in (0, 2, 3)]
    assert [record.getMessage() for record in caplog.records] == [
        f"operation {operations[1].key} needs review: so it is"
    ]
    assert caplog.records[0].levelname == "ERROR"


@pytest.mark.parametrize(("count", "limit"), [(10, 5), (5, 2), (2, 1), (1, 1)])
def test_what_a_transaction_did_not_do_is_queued_again_in_groups_of_half(count: int, limit: int) -> None:
    mine = transaction()
    fields: dict[str, Any] = {
        "transaction": mine,
        "position_in_bundle": 3,
        "tx_hash": "0xab",
        "block_number": 5,
        "block_hash": "0xcd",
    }
    operations = [operation(**fields) for _ in range(count)]
    requeue_bundle(operations, "it reverted")
    for one in operations:
        found = row(one)
        assert (found.state, found.group_size_limit, found.reason) == ("QUEUED", limit, "")
        assert (found.transaction_id, found.position_in_bundle) == (None, 0)
        assert (found.tx_hash, found.block_number, found.block_hash, found.outcome_logs) == ("", None, "", None)


def test_what_was_alone_in_its_transaction_twice_is_for_a_person() -> None:
    alone = operation(group_size_limit=1)
    requeue_bundle([alone], "y" * 300)
    found = row(alone)
    assert (found.state, found.group_size_limit) == ("NEEDS_REVIEW", 1)
    assert found.reason == ("alone in its bundle twice: " + "y" * 300)[:300]


def test_what_was_to_be_alone_and_was_not_is_queued_again() -> None:
    pair = [operation(group_size_limit=1), operation(group_size_limit=2)]
    requeue_bundle(pair, "it reverted")
    assert [(row(one).state, row(one).group_size_limit) for one in pair] == [("QUEUED", 1), ("QUEUED", 1)]


def test_no_transaction_means_no_place_in_one() -> None:
    assert NO_TRANSACTION == {"transaction": None, "position_in_bundle": 0}
