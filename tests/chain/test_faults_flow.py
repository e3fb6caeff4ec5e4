"""F42 to F44: cancelling, deadlines, and an executor that refuses us."""

import pytest

from chain.lending.encoding import Call
from chain.models import (
    AttemptKind,
    ChainTransaction,
    Operation,
    OperationState,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.sending import send_noop
from tests.chain.book import Book, nonces, unfreeze, wallet
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
NOTHING = "0x" + "00" * 32
# A contract that reverts once the block's time is past the number it is called with:
# if (timestamp > calldata[0]) revert; stop
DEADLINE_CODE = "0x600035421160095700" + "5b60006000fd"
DEADLINE_AT = "0x" + "de" * 20
EXECUTOR_REFUSALS = {
    "paused": ("0x8456cb59", "0x3f4ba83a", "EnforcedPause"),  # pause(), unpause()
    "not authorized": ("0x558a7297{operator}{no}", "0x558a7297{operator}{yes}", "NotOperator"),  # setOperator
}


def cancelled_payload(book: Book, proxy: RpcProxy, engine: Engine) -> tuple[Operation, str, str]:
    """An operation whose payload is in nobody's pool, nor is the noop that was signed to take its nonce."""
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING, times=None)
    send_queued(engine)
    send_noop(engine, ChainTransaction.objects.get(), "a person wants it back")
    payload = TransactionAttempt.objects.get(kind=AttemptKind.PAYLOAD)
    noop = TransactionAttempt.objects.get(kind=AttemptKind.NOOP)
    proxy.heal()
    return operation, payload.raw, noop.raw


def test_f42_cancelled_and_the_noop_wins(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation, payload, noop = cancelled_payload(book, proxy, engine)
    book.chain.rpc(SEND, noop)
    book.track_blocks(engine, 1)
    assert ChainTransaction.objects.get().state == TransactionState.CANCELLED
    book.check(confirmed=[], not_done={OperationState.QUEUED: [operation]})
    with pytest.raises(Exception, match="nonce too low"):
        book.chain.rpc(SEND, payload)
    send_queued(engine)
    book.track_blocks(engine, 1)
    book.check(confirmed=[operation])
    assert nonces() == [0, 1]


def test_f42_cancelled_and_the_payload_wins(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation, payload, noop = cancelled_payload(book, proxy, engine)
    book.chain.rpc(SEND, payload)
    book.track_blocks(engine, 1)
    assert ChainTransaction.objects.get().state == TransactionState.CONFIRMED
    book.check(confirmed=[operation])
    with pytest.raises(Exception, match="nonce too low"):
        book.chain.rpc(SEND, noop)
    book.track_blocks(engine, 3)
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f42_the_noop_wins_and_a_reorg_lets_the_payload_win(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation, payload, noop = cancelled_payload(book, proxy, engine)
    book.chain.rpc(SEND, noop)
    book.track_blocks(engine, 1)
    send_queued(engine)
    book.track_blocks(engine, 1)
    book.check(confirmed=[operation])
    book.chain.rpc("anvil_rollback", 2)
    book.chain.rpc("anvil_dropAllTransactions")
    book.chain.rpc(SEND, payload)
    book.track_blocks(engine, 8)
    book.check(confirmed=[operation])
    assert nonces() == [0, 1]


def test_f43_a_deadline_that_passes_after_the_nonce_was_bound(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    book.chain.rpc("anvil_setCode", DEADLINE_AT, DEADLINE_CODE)
    now = int(book.chain.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    template = book.borrow()
    late = Call(DEADLINE_AT, 0, f"0x{now + 60:064x}")
    expiring = book.enqueue([Call.from_json(template.calls[0]), late], [])
    send_queued(engine)
    assert set(Operation.objects.values_list("state", flat=True)) == {OperationState.BUNDLED}
    book.chain.rpc("evm_setNextBlockTimestamp", now + 3600)
    book.track_blocks(engine, 1)
    book.check(confirmed=[template], not_done={OperationState.FAILED: [expiring]})
    assert Operation.objects.get(pk=expiring.pk).reason == "reverted without a reason"
    assert nonces() == [0]


@pytest.mark.parametrize("refusal", EXECUTOR_REFUSALS)
def test_f44_an_executor_that_refuses_us_freezes_the_wallet_and_nothing_is_lost(book: Book, refusal: str) -> None:
    stop, go_on, reason = EXECUTOR_REFUSALS[refusal]
    operation = book.borrow()
    as_owner(book.chain, stop)
    driver.drive_once()
    frozen = wallet()
    assert frozen.status == WalletStatus.FROZEN
    assert reason in frozen.status_reason
    assert Operation.objects.get().state == OperationState.QUEUED
    as_owner(book.chain, go_on)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.QUEUED  # not before a person looked
    unfreeze()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


@pytest.mark.parametrize("refusal", EXECUTOR_REFUSALS)
def test_f44_an_executor_that_refuses_what_is_under_way(
    book: Book, proxy: RpcProxy, engine: Engine, refusal: str
) -> None:
    stop, go_on, _ = EXECUTOR_REFUSALS[refusal]
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    send_queued(engine)
    as_owner(book.chain, stop)
    book.chain.rpc(SEND, TransactionAttempt.objects.get().raw)
    book.track_blocks(engine, 1)
    assert ChainTransaction.objects.get().state == TransactionState.REVERTED
    book.check(confirmed=[], not_done={OperationState.QUEUED: [operation]})
    send_queued(engine)
    assert wallet().status == WalletStatus.FROZEN
    as_owner(book.chain, go_on)
    engine.lease.release()
    unfreeze()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def as_owner(chain: Chain, data: str) -> None:
    """A call of the executor by its owner, mined."""
    deployer, executor = chain.addresses["deployer"], chain.addresses["executor"]
    operator = chain.addresses["operator"][2:].lower().rjust(64, "0")
    data = data.format(operator=operator, yes=f"{1:064x}", no=f"{0:064x}")
    chain.rpc("anvil_impersonateAccount", deployer)
    tx_hash = chain.rpc("eth_sendTransaction", {"from": deployer, "to": executor, "data": data, "gas": "0x30d40"})
    chain.mine()
    assert chain.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
