"""Stuck, dropped, refused, paused: the same nonce until it is spent, and never a payload twice."""

import pytest
from pytest_django.fixtures import Settings

from chain import driver
from chain.bundling import bundle
from chain.engine import Engine
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
from chain.recovery import recover
from chain.services import resume_wallet
from chain.tracking import tick
from tests.chain.book import Book, nonces, wallet
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"


@pytest.fixture
def engine(book: Book, proxy: RpcProxy) -> Engine:
    """A driver's hands, recovered once: what it sends later is the tick's doing."""
    taken = driver._take(None)
    assert taken is not None
    recover(taken)
    return taken


def ticks(engine: Engine, book: Book, count: int) -> None:
    for _ in range(count):
        book.chain.mine()
        tick(engine)


def test_a_dropped_transaction_is_sent_again_after_three_blocks(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32)
    bundle(engine)
    ticks(engine, book, 2)
    assert proxy.forwarded[SEND] == 0
    ticks(engine, book, 2)
    assert proxy.forwarded[SEND] == 1
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.get().send_count == 2


def test_the_lowest_is_bumped_after_five_blocks_and_the_payload_stays(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=2)
    bundle(engine)
    ticks(engine, book, 6)
    book.check(confirmed=[operation])
    first, second = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    assert nonces() == [0]
    assert second.max_fee_per_gas_wei * 1000 >= first.max_fee_per_gas_wei * 1125
    assert Operation.objects.get().tx_hash == second.tx_hash


def test_an_old_attempt_that_is_mined_after_a_bump_is_adopted(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=None)
    bundle(engine)
    ticks(engine, book, 5)
    first, _second = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    book.chain.rpc(SEND, first.raw)
    ticks(engine, book, 1)
    book.check(confirmed=[operation])
    assert Operation.objects.get().tx_hash == first.tx_hash


def test_a_halted_chain_is_no_reason_to_bump(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32, times=None)
    bundle(engine)
    for _ in range(10):
        tick(engine)
    assert TransactionAttempt.objects.get().send_count == 1


def test_an_underpriced_replacement_is_bumped_until_it_is_taken(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "replacement transaction underpriced", times=2)
    bundle(engine)
    ticks(engine, book, 2)
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert TransactionAttempt.objects.count() == 3


def test_no_gas_money_pauses_the_wallet_and_it_resumes_by_itself(book: Book) -> None:
    operation = book.borrow()
    operator = book.chain.addresses["operator"]
    book.chain.rpc("anvil_setBalance", operator, "0x0")
    driver.step()
    assert wallet().status == WalletStatus.PAUSED
    later = book.borrow()
    driver.step()
    assert Operation.objects.get(pk=later.pk).state == OperationState.QUEUED
    book.chain.rpc("anvil_setBalance", operator, hex(10**20))
    driver.step()
    assert wallet().status == WalletStatus.ACTIVE
    book.settle()
    book.check(confirmed=[operation, later])


def test_a_payload_that_no_node_takes_gives_its_nonce_to_a_noop(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "oversized data")
    driver.step()
    assert TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).count() == 1
    book.settle()
    first, second = ChainTransaction.objects.order_by("nonce")
    assert (first.state, second.state) == (TransactionState.CANCELLED, TransactionState.CONFIRMED)
    book.check(confirmed=[operation])


def test_a_nonce_without_a_transaction_gets_a_noop(book: Book) -> None:
    driver.step()
    PlatformWallet.objects.update(next_nonce=2)
    operation = book.borrow()
    driver.step()
    assert nonces() == [0, 1, 2]
    book.settle()
    book.check(confirmed=[operation])
    assert [row.state for row in ChainTransaction.objects.order_by("nonce")] == ["CANCELLED", "CANCELLED", "CONFIRMED"]


def test_a_paused_executor_freezes_the_wallet_and_nothing_is_lost(book: Book) -> None:
    operation = book.borrow()
    deployer, executor = book.chain.addresses["deployer"], book.chain.addresses["executor"]
    book.chain.rpc("anvil_impersonateAccount", deployer)
    book.chain.rpc("eth_sendTransaction", {"from": deployer, "to": executor, "data": "0x8456cb59", "gas": "0x30d40"})
    book.chain.mine()
    driver.step()
    frozen = wallet()
    assert frozen.status == WalletStatus.FROZEN
    assert "EnforcedPause" in frozen.status_reason
    assert Operation.objects.get().state == OperationState.QUEUED
    book.chain.rpc("eth_sendTransaction", {"from": deployer, "to": executor, "data": "0x3f4ba83a", "gas": "0x30d40"})
    book.chain.mine()
    assert resume_wallet(wallet_id=frozen.pk)
    driver.step()
    book.settle()
    book.check(confirmed=[operation])


def test_somebody_else_spent_the_nonce_and_the_wallet_freezes(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, "0x" + "00" * 32)
    driver.step()
    operator = book.chain.addresses["operator"]
    book.chain.rpc("anvil_setNonce", operator, "0x1")
    for _ in range(20):
        book.chain.mine()
    engine = driver._take(None)
    assert engine is not None
    tick(engine)
    assert wallet().status == WalletStatus.FROZEN
    assert ChainTransaction.objects.get().state == TransactionState.NEEDS_REVIEW
    book.check(confirmed=[], not_done={OperationState.NEEDS_REVIEW: [operation]})


def test_a_reorg_takes_a_confirmed_operation_back_and_it_is_settled_again(book: Book) -> None:
    operation = book.borrow()
    driver.step()
    book.settle()
    first = Operation.objects.get()
    book.chain.rpc("anvil_rollback", 1)
    book.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    book.chain.rpc("anvil_dropAllTransactions")
    book.chain.mine(2)
    driver.step()
    assert Operation.objects.get().state == OperationState.BUNDLED
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST
    book.settle()
    book.check(confirmed=[operation])
    assert Operation.objects.get().block_hash != first.block_hash
    assert nonces() == [0]


def test_with_more_confirmations_an_operation_is_executed_before_it_is_confirmed(
    book: Book, settings: Settings
) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    driver.step()
    states = []
    for _ in range(3):
        book.chain.mine()
        driver.step()
        states.append(Operation.objects.get().state)
    assert states == [OperationState.EXECUTED, OperationState.EXECUTED, OperationState.CONFIRMED]
    book.check(confirmed=[operation])


def test_a_base_fee_above_the_cap_holds_operations_back_until_it_falls(book: Book) -> None:
    operation = book.borrow()
    driver.step()
    book.settle()
    cap = wallet().fee_cap_wei
    PlatformWallet.objects.update(fee_cap_wei=1)
    dear = book.borrow()
    driver.step()
    assert Operation.objects.get(pk=dear.pk).state == OperationState.QUEUED
    PlatformWallet.objects.update(fee_cap_wei=cap)
    driver.step()
    book.settle()
    book.check(confirmed=[operation, dear])
