"""Guards against answers that only look like evidence: a node in the middle of a reorg, a driver that is late, somebody
who acts between a reading and a commit. `tests/mutations` takes each guard away and sees its test fail.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionAttempt, WalletStatus
from chain.rpc.clients import ChainUnavailable, get_client
from chain.settlement import driver, reorgs, tracking
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.wallet import lease
from chain.wallet.lease import LeaseLost
from chain.wallet.wallets import platform_wallet
from tests.chain.book import Book, nonces, wallet
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
RECEIPT = "eth_getTransactionReceipt"


def on_next_call(proxy: RpcProxy, wanted: str, act: Callable[[], object]) -> None:
    """Once, before the node hears of the next call of that method."""
    before = proxy.on_call
    done: list[bool] = []

    def on_call(method: str, params: list[Any]) -> None:
        before(method, params)
        if method == wanted and not done:
            done.append(True)
            try:
                act()
            finally:
                connection.close()  # this thread's

    proxy.on_call = on_call


def as_a_backup_has_it() -> None:
    """The operation is queued again, and knows nothing of the transaction that it had."""
    Operation.objects.update(
        state=OperationState.QUEUED, transaction=None, tx_hash="", block_number=None, block_hash=""
    )


def nothing_was_told_that_had_to_be_taken_back() -> bool:
    """No outcome was final and reopened since; a driver does both in one step where it finds out in time."""
    taken_back = AuditEntry.objects.filter(action="settlement.reopened").exists()
    return not taken_back and wallet().incident == "" and not Operation.objects.filter(reopened=True).exists()


def test_a_receipt_whose_block_is_not_canonical_settles_nothing(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.chain.mine()
    proxy.rewrite(RECEIPT, lambda receipt: receipt and {**receipt, "blockHash": "0x" + "ab" * 32}, times=None)
    driver.drive_once()
    waiting = Operation.objects.get()
    assert (waiting.state, waiting.tx_hash, waiting.block_hash) == (OperationState.BUNDLED, "", "")
    assert nothing_was_told_that_had_to_be_taken_back()
    proxy.heal()
    book.settle()
    book.check(confirmed=[operation])
    settled = Operation.objects.get()
    block = book.chain.rpc("eth_getBlockByNumber", hex(settled.block_number or 0), False)
    assert settled.block_hash == block["hash"]
    assert nonces() == [0]


def test_a_hash_of_another_chain_than_the_heads_proves_nothing(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    book.chain.mine(3)
    engine.read_head()
    head = engine.require_head()
    below = book.chain.rpc("eth_getBlockByNumber", hex(head.number - 2), False)["hash"]
    assert reorgs._hash_at(engine, head.number - 2) == below
    other = "0x" + "ab" * 32
    proxy.rewrite(
        "eth_getBlockByNumber", lambda block: {**block, "hash": other} if block["hash"] == head.hash else block
    )
    proxy.rewrite(
        "eth_getBlockByNumber", lambda block: {**block, "hash": other} if block["hash"] == head.hash else block
    )
    with pytest.raises(ChainUnavailable, match="The chain moved while it was read"):
        reorgs._hash_at(engine, head.number - 2)


def test_receipts_are_read_again_where_the_head_is_another_by_the_time_their_blocks_are_read(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    send_queued(engine)
    book.chain.mine()
    _, attempts, receipts = tracking._read_receipts(engine)
    assert [mined.transaction.nonce for mined in tracking._mined_transactions(engine, attempts, receipts)] == [0]
    head = engine.require_head()
    other = {"hash": "0x" + "ab" * 32}
    proxy.rewrite("eth_getBlockByNumber", lambda block: {**block, **(other if block["hash"] == head.hash else {})})
    assert tracking._mined_transactions(engine, attempts, receipts) == []
    proxy.heal()
    book.track_blocks(engine, 1)
    book.check(confirmed=[operation])


@pytest.mark.parametrize(
    ("second_post", "is_spent"),
    [(["0x1", None, None], True), (["0x0", None, None], False), (["0x1", {"hash": "ours"}, None], False)],
    ids=["gone everywhere", "an endpoint counts fewer by now", "an endpoint knows it"],
)
def test_a_nonce_is_given_up_only_where_every_endpoint_says_so_in_one_post(
    book: Book, proxy: RpcProxy, engine: Engine, monkeypatch: pytest.MonkeyPatch, second_post: list[Any], is_spent: bool
) -> None:
    book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32)
    send_queued(engine)
    posts = iter([[["0x1"]], [["0x1", None, None], second_post]])
    monkeypatch.setattr(engine.client, "everyone", lambda _: next(posts))
    given_up: list[int] = []
    monkeypatch.setattr(tracking, "_close", lambda _, transaction: given_up.append(transaction.nonce))
    assert tracking._nonce_was_spent(engine, ChainTransaction.objects.get()) is is_spent
    assert given_up == ([0] if is_spent else [])


def test_a_receipt_without_a_word_about_its_operations_is_read_again(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    driver.drive_once()
    proxy.rewrite(RECEIPT, lambda receipt: receipt and {**receipt, "logs": []}, times=None)
    for _ in range(3):
        book.chain.mine()
        driver.drive_once()
        assert Operation.objects.get().state == OperationState.BUNDLED
    proxy.heal()
    driver.drive_once()
    book.check(confirmed=[operation])


def test_a_receipt_that_stays_silent_is_for_a_person(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    driver.drive_once()
    proxy.rewrite(RECEIPT, lambda receipt: receipt and {**receipt, "logs": []}, times=None)
    for _ in range(4):
        book.chain.mine()
        driver.drive_once()
    book.check(confirmed=[], not_done={OperationState.NEEDS_REVIEW: [operation]}, moved=[operation])


def test_an_operation_that_leaves_the_queue_while_it_is_simulated_is_not_sent(book: Book, proxy: RpcProxy) -> None:
    taken, other = book.borrows(2)
    queued = Operation.objects.filter(pk=taken.pk, state=OperationState.QUEUED)
    on_next_call(proxy, "eth_call", lambda: queued.update(state=OperationState.REFUSED))
    with contextlib.suppress(LeaseLost):
        driver.drive_once()
    assert (nonces(), TransactionAttempt.objects.count(), wallet().next_nonce) == ([], 0, 0)
    assert proxy.received[SEND] == 0
    assert Operation.objects.get(pk=other.pk).state == OperationState.QUEUED
    driver.drive_once()
    book.settle()
    book.check(confirmed=[other], not_done={OperationState.REFUSED: [taken]})


def test_what_the_chain_executed_is_not_adopted_before_it_is_deep_enough(book: Book, settings: Settings) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    driver.drive_once()
    first = TransactionAttempt.objects.get()
    as_a_backup_has_it()
    states = []
    for _ in range(3):
        book.chain.mine()
        driver.drive_once()
        states.append(Operation.objects.get().state)
    assert states == [OperationState.QUEUED, OperationState.QUEUED, OperationState.CONFIRMED]
    book.check(confirmed=[operation])
    assert (Operation.objects.get().tx_hash, nonces()) == (first.tx_hash, [0])


def test_a_skipped_operation_is_not_adopted_from_a_block_that_a_reorg_just_made(
    book: Book, proxy: RpcProxy, settings: Settings
) -> None:
    """Two transactions have its uid, three blocks deep. While the log of its execution is looked for, a reorg leaves
    the first one alone, in the newest block.
    """
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    driver.drive_once()
    first = TransactionAttempt.objects.get()
    as_a_backup_has_it()
    driver.drive_once()
    book.chain.mine(3)

    def reorg() -> None:
        book.chain.rpc("anvil_rollback", 3)
        book.chain.rpc("anvil_dropAllTransactions")
        book.chain.mine(2)
        book.chain.rpc(SEND, first.raw)
        book.chain.mine()

    on_next_call(proxy, "eth_getLogs", reorg)
    with contextlib.suppress(ChainUnavailable):
        driver.drive_once()
    assert Operation.objects.get().state != OperationState.CONFIRMED
    assert nothing_was_told_that_had_to_be_taken_back()
    book.settle(blocks=12)
    book.check(confirmed=[operation])
    assert Operation.objects.get().tx_hash == first.tx_hash


def test_a_skipped_operation_is_not_adopted_while_another_endpoint_does_not_show_its_execution(
    book: Book, settings: Settings
) -> None:
    with RpcProxy(book.chain.url) as first, RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [first.url, second.url]
        get_client.cache_clear()
        operation = book.borrow()
        driver.drive_once()
        executed_in = TransactionAttempt.objects.get().tx_hash
        as_a_backup_has_it()
        driver.drive_once()
        second.rewrite(
            RECEIPT, lambda seen: None if seen and seen["transactionHash"] == executed_in else seen, times=None
        )
        book.chain.mine(2)
        driver.drive_once()
        assert Operation.objects.get().state == OperationState.BUNDLED
        second.heal()
        book.settle(blocks=4)
        book.check(confirmed=[operation])
        assert Operation.objects.get().tx_hash == executed_in
    get_client.cache_clear()


def test_a_driver_that_lost_its_lease_does_not_release_that_of_its_successor(book: Book) -> None:
    late = lease.take_lease(platform_wallet_key())
    assert late is not None
    successor = lease.take_lease(platform_wallet_key(), by_force=True)
    assert successor is not None
    late.release()
    held = PlatformWallet.objects.get()
    assert (held.lease_epoch, held.lease_holder) == (successor.epoch, successor.holder)
    assert lease.take_lease(held.pk) is None
    successor.release()
    assert lease.take_lease(held.pk) is not None


def platform_wallet_key() -> Any:
    return platform_wallet(get_client()).pk


@pytest.mark.parametrize("message", ["the flux capacitor is cold", "insufficient funds for gas * price + value"])
def test_a_paused_wallet_does_not_resume_on_an_answer_that_takes_nothing(
    book: Book, proxy: RpcProxy, message: str
) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "insufficient funds for gas * price + value")
    driver.drive_once()
    assert wallet().status == WalletStatus.PAUSED
    later = book.borrow()
    proxy.refuse(SEND, message, times=2)
    for _ in range(2):
        book.chain.mine()
        driver.drive_once()
        assert wallet().status == WalletStatus.PAUSED
    assert ChainTransaction.objects.count() == 1
    book.chain.mine()
    driver.drive_once()  # the node takes it now
    assert wallet().status == WalletStatus.ACTIVE
    book.settle()
    book.check(confirmed=[operation, later])
