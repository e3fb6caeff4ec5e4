"""F30, F36 to F41: what a reorg undoes, and what is not believed to be one."""

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain import selectors, services
from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.operators.review import gather_evidence, requeue_operation
from chain.rpc import clients
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.reorgs import roll_back_orphaned
from tests.chain.book import KIND, Book, nonces, unfreeze, wallet
from tests.support.acting import staff
from tests.support.actors import set_operator
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"


def roll_back(chain: Chain, blocks: int) -> None:
    """The newest blocks are gone, and nobody has what was in them."""
    chain.rpc("anvil_rollback", blocks)
    chain.rpc("anvil_dropAllTransactions")


def test_f30_failed_then_reorged_then_a_success_is_never_told_as_a_failure(
    book: Book, engine: Engine, settings: Settings
) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    send_queued(engine)
    raw = TransactionAttempt.objects.get().raw
    book.chain.rpc("anvil_dropAllTransactions")
    set_operator(book.chain, book.user, allowed=False)
    book.chain.rpc(SEND, raw)
    book.track_blocks(engine, 2)  # it failed, two blocks deep
    assert ChainTransaction.objects.get().state == TransactionState.MINED
    assert Operation.objects.get().state == OperationState.BUNDLED
    assert selectors.unacknowledged(KIND, 10) == []
    roll_back(book.chain, 3)  # with the block in which the user took the permission back
    book.track_blocks(engine, 8)
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f30_even_a_failure_that_was_told_is_taken_back(book: Book, engine: Engine) -> None:
    operation = book.borrow()
    send_queued(engine)
    raw = TransactionAttempt.objects.get().raw
    book.chain.rpc("anvil_dropAllTransactions")
    set_operator(book.chain, book.user, allowed=False)
    book.chain.rpc(SEND, raw)
    book.track_blocks(engine, 1)
    book.check(confirmed=[], not_done={OperationState.FAILED: [operation]})
    book.act_on_what_is_final()
    roll_back(book.chain, 2)
    book.track_blocks(engine, 2)
    assert [row.key for row in selectors.reopened(KIND, 10)] == [operation.key]
    book.track_blocks(engine, 4)
    book.check(confirmed=[operation])
    assert services.acknowledge_reopened(operation_id=operation.pk) is True
    assert [row.key for row in selectors.unacknowledged(KIND, 10)] == [operation.key]


def test_f36_the_receipt_is_gone_and_nobody_pooled_it_again(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    first = Operation.objects.get()
    roll_back(book.chain, 1)
    book.chain.mine(2)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST
    book.settle()
    book.check(confirmed=[operation])
    assert Operation.objects.get().block_hash != first.block_hash
    assert nonces() == [0]


def test_f36_gone_below_the_confirmation_depth_it_was_told_to_nobody(book: Book, settings: Settings) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    driver.drive_once()
    states = []
    for _ in range(2):
        book.chain.mine()
        driver.drive_once()
        states.append(Operation.objects.get().state)
    roll_back(book.chain, 2)
    for _ in range(5):
        book.chain.mine()
        driver.drive_once()
        states.append(Operation.objects.get().state)
    executed, confirmed = OperationState.EXECUTED, OperationState.CONFIRMED
    assert states == [executed, executed, OperationState.BUNDLED, executed, executed, confirmed, confirmed]
    book.check(confirmed=[operation])
    assert AuditEntry.objects.filter(action="settlement.reopened").count() == 0


def test_f36_that_something_was_undone_is_said_for_the_look_that_saw_it(book: Book, engine: Engine) -> None:
    operation = book.borrow()
    send_queued(engine)
    book.track_blocks(engine, 1)
    assert ChainTransaction.objects.get().state == TransactionState.CONFIRMED
    roll_back(book.chain, 1)
    book.chain.mine()
    engine.read_head()
    assert roll_back_orphaned(engine) is True
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST
    assert roll_back_orphaned(engine) is False
    book.track_blocks(engine, 2)
    book.check(confirmed=[operation])


def test_f37_the_same_bytes_stand_in_another_block(book: Book, engine: Engine) -> None:
    operation = book.borrow()
    send_queued(engine)
    book.track_blocks(engine, 1)
    first = Operation.objects.get()
    roll_back(book.chain, 1)
    book.chain.mine()
    book.chain.rpc(SEND, TransactionAttempt.objects.get().raw)
    book.track_blocks(engine, 2)
    book.check(confirmed=[operation])
    second = Operation.objects.get()
    assert second.tx_hash == first.tx_hash
    assert (second.block_number, second.block_hash) != (first.block_number, first.block_hash)
    assert TransactionAttempt.objects.count() == 1


def test_f38_a_conflicting_transaction_took_the_nonce(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.act_on_what_is_final()
    roll_back(book.chain, 1)
    operator = book.chain.addresses["operator"]
    book.chain.rpc("anvil_impersonateAccount", operator)
    book.chain.rpc("eth_sendTransaction", {"from": operator, "to": operator, "nonce": "0x0", "gas": "0x5208"})
    book.chain.mine()
    book.chain.rpc("anvil_stopImpersonatingAccount", operator)
    book.chain.mine()
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    book.finalize()
    for _ in range(4):
        book.chain.mine()
        driver.drive_once()
    assert wallet().status == WalletStatus.FROZEN
    assert ChainTransaction.objects.get().state == TransactionState.NEEDS_REVIEW
    book.check(confirmed=[], not_done={OperationState.NEEDS_REVIEW: [operation]})
    engine = driver._take_lease(None)
    assert engine is not None
    requeue_operation(engine, gather_evidence(engine, Operation.objects.get()), actor=staff("test"))
    engine.lease.release()
    unfreeze()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def test_f39_the_head_falls(book: Book, engine: Engine) -> None:
    first = book.borrow()
    send_queued(engine)
    book.track_blocks(engine, 1)
    second = book.borrow()
    send_queued(engine)
    book.track_blocks(engine, 3)
    book.check(confirmed=[first, second])
    before = book.chain.block_number()
    roll_back(book.chain, 3)
    book.chain.rpc("evm_mine")  # another block, lower than the head before
    assert book.chain.block_number() < before
    book.track_blocks(engine, 6)
    book.check(confirmed=[first, second])
    assert nonces() == [0, 1]


def test_f40_reverted_past_confirmation_it_is_reopened_and_an_incident_raised(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.act_on_what_is_final()
    first = Operation.objects.get()
    roll_back(book.chain, 1)
    book.chain.mine(2)
    driver.drive_once()
    reopened = Operation.objects.get()
    assert (reopened.state, reopened.reopened, reopened.acknowledged) == (OperationState.BUNDLED, True, True)
    assert (reopened.tx_hash, reopened.block_number, reopened.outcome_logs) == ("", None, None)
    entry = AuditEntry.objects.get(action="settlement.reopened")
    assert entry.target == f"operation:{operation.key}"
    assert entry.before is not None
    assert entry.before["txHash"] == first.tx_hash
    assert wallet().incident == f"a reorg undid 1 settled operations, which were reopened: {operation.key}"
    assert wallet().status == WalletStatus.ACTIVE
    assert "a reorg undid nonce 0 (CONFIRMED)" in caplog.text
    book.settle()
    book.check(confirmed=[operation])
    assert selectors.unacknowledged(KIND, 10) == []  # not before its owner took back what it had done
    assert services.acknowledge_reopened(operation_id=operation.pk) is True
    assert services.acknowledge_reopened(operation_id=operation.pk) is False
    assert [row.key for row in selectors.unacknowledged(KIND, 10)] == [operation.key]
    assert nonces() == [0]


def test_f40_an_owner_that_read_the_state_before_the_reorg_does_not_act_on_it(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    [seen] = selectors.unacknowledged(KIND, 10)
    roll_back(book.chain, 1)
    book.chain.mine(2)
    driver.drive_once()
    assert services.acknowledge(operation=seen) is False
    book.settle()
    assert services.acknowledge(operation=seen) is False  # it stands in another block now
    book.act_on_what_is_final()
    book.check(confirmed=[operation])


def test_f40_what_was_adopted_is_reopened_too(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    raw = TransactionAttempt.objects.get().raw
    book.settle()
    Operation.objects.update(
        state=OperationState.QUEUED, transaction=None, tx_hash="", block_number=None, block_hash=""
    )
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.CONFIRMED
    assert Operation.objects.get().transaction is None
    book.act_on_what_is_final()
    roll_back(book.chain, 1)
    book.chain.mine()
    book.chain.rpc(SEND, raw)
    for _ in range(5):
        book.chain.mine()
        driver.drive_once()
    book.check(confirmed=[operation])
    assert Operation.objects.get().reopened is True


def test_f41_a_node_that_forks_on_its_own_is_not_believed_alone(
    book: Book, proxy: RpcProxy, settings: Settings
) -> None:
    with RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        operation = book.borrow()
        driver.drive_once()
        book.settle()
        book.check(confirmed=[operation])
        proxy.rewrite("eth_getBlockByNumber", lambda block: {**block, "hash": "0x" + "ab" * 32}, times=None)
        book.chain.mine(2)
        driver.drive_once()
        book.check(confirmed=[operation])
        assert AuditEntry.objects.filter(action="settlement.reopened").count() == 0


def test_f41_a_node_that_lags_behind_proves_nothing(
    book: Book, proxy: RpcProxy, settings: Settings, engine: Engine
) -> None:
    with RpcProxy(book.chain.url) as second:
        engine.lease.release()
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        operation = book.borrow()
        driver.drive_once()
        book.chain.mine(2)
        old = book.chain.rpc("eth_getBlockByNumber", hex(book.chain.block_number() - 2), False)
        proxy.rewrite("eth_getTransactionReceipt", lambda _: None, times=None)
        proxy.rewrite("eth_getTransactionByHash", lambda _: None, times=None)
        proxy.rewrite("eth_getTransactionCount", lambda _: "0x0", times=None)
        proxy.rewrite("eth_getBlockByNumber", lambda _: old, times=None)
        for _ in range(6):
            driver.drive_once()
        assert Operation.objects.get().state == OperationState.BUNDLED  # mined, and nobody has told us yet
        assert wallet().status == WalletStatus.ACTIVE
        assert TransactionAttempt.objects.count() == 1
        proxy.heal()
        book.settle()
        book.check(confirmed=[operation])
        assert nonces() == [0]
