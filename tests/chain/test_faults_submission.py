"""F8, F9, F12 to F14: nonces, backups, keys and payloads that no node wants."""

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain.models import (
    AttemptKind,
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.operators.review import gather_evidence, requeue_operation
from chain.rpc import clients
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.restoring import SCAN_REASON
from chain.settlement.tracking import track_transactions
from tests.chain.book import Book, nonces, unfreeze, wallet
from tests.support.acting import staff
from tests.support.backup import Backup
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
COUNT = "eth_getTransactionCount"


def backup() -> Backup:
    return Backup(PlatformWallet, ChainTransaction, TransactionAttempt, Operation)


def test_f08_somebody_else_spent_the_nonce_and_a_person_decides(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32)
    driver.drive_once()
    book.chain.rpc("anvil_setNonce", book.chain.addresses["operator"], "0x1")
    book.finalize()
    engine = driver._take_lease(None)
    assert engine is not None
    track_transactions(engine)
    assert wallet().status == WalletStatus.FROZEN
    assert wallet().status_reason == "nonce 0 was spent by a transaction that is not ours"
    assert ChainTransaction.objects.get().state == TransactionState.NEEDS_REVIEW
    book.check(confirmed=[], not_done={OperationState.NEEDS_REVIEW: [operation]})
    requeue_operation(engine, gather_evidence(engine, Operation.objects.get()), actor=staff("test"))
    unfreeze()
    engine.lease.release()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0, 1]


def test_f08_a_nonce_that_is_spent_but_not_final_is_waited_for(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=None)
    send_queued(engine)
    book.chain.rpc("anvil_setNonce", book.chain.addresses["operator"], "0x1")
    book.track_blocks(engine, 4)
    assert wallet().status == WalletStatus.ACTIVE
    book.check(confirmed=[], not_done={OperationState.BUNDLED: [operation]})
    book.finalize()
    book.track_blocks(engine, 1)
    assert wallet().status == WalletStatus.FROZEN
    book.check(confirmed=[], not_done={OperationState.NEEDS_REVIEW: [operation]})


def test_f09_a_node_that_reports_a_stale_lower_nonce_does_not_lower_the_counter(book: Book, proxy: RpcProxy) -> None:
    operations = []
    for _ in range(2):
        operations.append(book.borrow())
        driver.drive_once()
        book.settle()
    proxy.rewrite(COUNT, lambda _: "0x0", times=None)
    operations.append(book.borrow())
    driver.drive_once()
    book.settle()
    book.check(confirmed=operations)
    assert nonces() == [0, 1, 2]
    assert wallet().next_nonce == 3
    assert TransactionAttempt.objects.count() == 3


def test_f09_nonces_from_before_the_wallets_row_are_never_filled(book: Book, proxy: RpcProxy) -> None:
    book.chain.rpc("anvil_setNonce", book.chain.addresses["operator"], "0x5")
    driver.drive_once()
    proxy.rewrite(COUNT, lambda _: "0x3", times=None)
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [5]
    assert TransactionAttempt.objects.count() == 1


def test_f09_the_lagging_one_of_two_nodes_is_not_believed(book: Book, proxy: RpcProxy, settings: Settings) -> None:
    with RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        first = book.borrow()
        driver.drive_once()
        book.settle()
        proxy.rewrite(COUNT, lambda _: "0x0", times=None)
        other = book.borrow()
        driver.drive_once()
        book.settle()
        book.check(confirmed=[first, other])
        assert nonces() == [0, 1]


def test_f12_restored_from_before_the_send_and_it_was_mined_since(book: Book) -> None:
    driver.drive_once()
    operation = book.borrow()
    before = backup()
    driver.drive_once()
    book.settle()
    mined = Operation.objects.get()
    before.restore()
    assert (wallet().next_nonce, Operation.objects.get().state) == (0, OperationState.QUEUED)
    driver.drive_once()  # the nonce is used in a block that a reorg may take: nothing new is sent, the counter stays
    assert (wallet().next_nonce, nonces(), wallet().scan_pending) == (0, [], False)
    book.finalize()
    driver.drive_once()
    book.check(confirmed=[operation])
    adopted = Operation.objects.get()
    assert (adopted.tx_hash, adopted.block_hash, adopted.outcome_logs) == (
        mined.tx_hash,
        mined.block_hash,
        mined.outcome_logs,
    )
    assert nonces() == []  # nothing was sent a second time
    assert (wallet().status, wallet().next_nonce, wallet().scan_pending) == (WalletStatus.ACTIVE, 1, False)
    assert wallet().incident == "nonces 0 to 0 were used by transactions that the database does not know"
    assert AuditEntry.objects.filter(action="settlement.behind_the_chain").count() == 1
    after = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation, after])


def test_f12_restored_while_the_old_transaction_is_still_in_the_pool(book: Book) -> None:
    driver.drive_once()
    operation = book.borrow()
    before = backup()
    driver.drive_once()
    before.restore()
    for _ in range(4):
        driver.drive_once()
        assert nonces() == []
        book.chain.mine()
    book.finalize()
    driver.drive_once()
    book.check(confirmed=[operation])
    assert wallet().status == WalletStatus.ACTIVE


def test_f12_restored_from_before_a_bump_and_the_bump_was_mined(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=None)
    driver.drive_once()
    before = backup()
    engine = driver._take_lease(None)
    assert engine is not None
    book.track_blocks(engine, 5)
    _, bumped = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    before.restore()
    assert TransactionAttempt.objects.count() == 1
    proxy.heal()
    book.chain.rpc(SEND, bumped.raw)
    book.chain.mine()
    PlatformWallet.objects.update(lease_until=None)
    driver.drive_once()
    book.finalize()
    for _ in range(4):
        book.chain.mine()
        driver.drive_once()
    book.check(confirmed=[operation])
    assert Operation.objects.get().tx_hash == bumped.tx_hash
    assert wallet().status == WalletStatus.ACTIVE


def test_f12_frozen_until_every_open_operation_was_compared(book: Book, proxy: RpcProxy) -> None:
    driver.drive_once()
    operation, other = book.borrow(), book.borrow()
    before = backup()
    driver.drive_once()
    book.settle()
    before.restore()
    book.finalize()
    proxy.refuse("eth_call", "the node is tired", times=None)
    with pytest.raises(clients.ChainUnavailable):
        driver.drive_once()
    assert (wallet().status, wallet().status_reason) == (WalletStatus.FROZEN, SCAN_REASON)
    third = book.borrow()
    engine = driver._take_lease(None)
    assert engine is not None
    assert send_queued(engine) == 0
    engine.lease.release()
    proxy.heal()
    driver.drive_once()
    assert (wallet().status, wallet().status_reason) == (WalletStatus.ACTIVE, "")
    book.settle()
    book.check(confirmed=[operation, other, third])


def test_f12_what_was_accepted_after_the_backup_is_told_to_a_person(book: Book) -> None:
    driver.drive_once()
    before = backup()
    lost = book.borrow()
    driver.drive_once()
    book.settle()
    before.restore()
    book.finalize()
    waiting = book.borrow()
    driver.drive_once()
    assert wallet().status == WalletStatus.FROZEN
    assert wallet().status_reason == f"the chain executed 1 operations that the database does not know: {lost.uid}"
    assert Operation.objects.get().key == waiting.key
    assert Operation.objects.get().state == OperationState.QUEUED


def test_f12_what_was_accepted_after_the_backup_is_told_though_one_endpoint_hides_it(
    book: Book, proxy: RpcProxy, settings: Settings
) -> None:
    driver.drive_once()
    before = backup()
    lost = book.borrow()
    driver.drive_once()
    book.settle()
    before.restore()
    book.finalize()
    with RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        proxy.rewrite("eth_getLogs", lambda _: [], times=None)
        driver.drive_once()
    clients.get_client.cache_clear()
    assert wallet().status == WalletStatus.FROZEN
    assert wallet().status_reason == f"the chain executed 1 operations that the database does not know: {lost.uid}"


def test_f13_without_a_key_operations_wait_and_go_on_with_it(book: Book, settings: Settings) -> None:
    flying = book.borrow()
    driver.drive_once()
    key, settings.PLATFORM_PRIVATE_KEY = settings.PLATFORM_PRIVATE_KEY, ""
    waiting = book.borrow()
    book.chain.mine()
    driver.drive_once()  # what is in flight is followed all the same
    assert Operation.objects.get(pk=flying.pk).state == OperationState.CONFIRMED
    assert Operation.objects.get(pk=waiting.pk).state == OperationState.QUEUED
    settings.PLATFORM_PRIVATE_KEY = key
    driver.drive_once()
    book.settle()
    book.check(confirmed=[flying, waiting])


def test_f13_without_a_key_a_stuck_transaction_is_sent_again_unbumped(
    book: Book, proxy: RpcProxy, engine: Engine, settings: Settings
) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=3)
    send_queued(engine)
    settings.PLATFORM_PRIVATE_KEY = ""
    book.track_blocks(engine, 9)
    assert TransactionAttempt.objects.count() == 1
    book.check(confirmed=[operation])


@pytest.mark.parametrize("message", ["oversized data", "intrinsic gas too low", "invalid sender"])
def test_f14_a_payload_that_no_node_takes_gives_its_nonce_to_a_noop(book: Book, proxy: RpcProxy, message: str) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, message)
    driver.drive_once()
    assert TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).count() == 1
    book.settle()
    first, second = ChainTransaction.objects.order_by("nonce")
    assert (first.state, second.state) == (TransactionState.CANCELLED, TransactionState.CONFIRMED)
    book.check(confirmed=[operation])


def test_f14_where_one_of_two_nodes_takes_it_there_is_no_noop(book: Book, proxy: RpcProxy, settings: Settings) -> None:
    with RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        operation = book.borrow()
        proxy.refuse(SEND, "oversized data", times=None)
        driver.drive_once()
        book.settle()
        book.check(confirmed=[operation])
        assert TransactionAttempt.objects.count() == 1


def test_f14_a_nonce_without_a_transaction_gets_a_noop(book: Book) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(next_nonce=2)
    operation = book.borrow()
    driver.drive_once()
    assert nonces() == [0, 1, 2]
    book.settle()
    book.check(confirmed=[operation])
    assert [row.state for row in ChainTransaction.objects.order_by("nonce")] == ["CANCELLED", "CANCELLED", "CONFIRMED"]
