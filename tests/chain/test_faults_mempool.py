"""F17 to F27: stuck, dropped, refused, paused: the same nonce until it is spent, and never a payload twice."""

from typing import Any

import pytest
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.rpc.errors import SendClass
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.tracking import track_transactions
from tests.chain.book import Book, nonces, wallet
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
NOTHING = "0x" + "00" * 32
GWEI = 10**9
ENDLESS_LOOP = "0x5b600056"  # a contract that burns whatever gas it is given


class GethPool:
    """Geth's rule for replacements, which anvil does not have: 10 % more of both fee and tip."""

    def __init__(self) -> None:
        self._best: dict[int, tuple[int, int]] = {}
        self.refused = 0

    def __call__(self, params: list[Any]) -> str | None:
        transaction = TypedTransaction.from_bytes(HexBytes(params[0])).as_dict()
        bid = (int(transaction["maxFeePerGas"]), int(transaction["maxPriorityFeePerGas"]))
        best = self._best.get(int(transaction["nonce"]))
        if best is not None and bid != best and any(new * 10 < old * 11 for new, old in zip(bid, best, strict=True)):
            self.refused += 1
            return "replacement transaction underpriced"
        self._best[int(transaction["nonce"])] = bid
        return None


def price_out(chain: Chain, gwei: int) -> None:
    """The next block costs `gwei`, which pushes everything that bids less out of it."""
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))


def fill_next_block(chain: Chain) -> None:
    """Somebody bids more than we do, for nearly all of the next block."""
    spammer, burner = "0x" + "5a" * 20, "0x" + "b0" * 20
    chain.rpc("anvil_setBalance", spammer, hex(10**21))
    chain.rpc("anvil_setCode", burner, ENDLESS_LOOP)
    chain.rpc("anvil_impersonateAccount", spammer)
    bid = {"maxFeePerGas": hex(1000 * GWEI), "maxPriorityFeePerGas": hex(60 * GWEI)}
    chain.rpc("eth_sendTransaction", {"from": spammer, "to": burner, "gas": hex(28_000_000), **bid})


def test_f17_a_dropped_transaction_is_sent_again_after_three_blocks(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    send_queued(engine)
    book.chain.rpc("anvil_dropTransaction", TransactionAttempt.objects.get().tx_hash)
    book.track_blocks(engine, 2)
    assert proxy.forwarded[SEND] == 1
    book.track_blocks(engine, 2)
    assert proxy.forwarded[SEND] == 2
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.get().send_count == 2


def test_f17_a_node_that_takes_it_and_forgets_it_at_once(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    send_queued(engine)
    book.track_blocks(engine, 4)
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.get().send_count == 2


def test_f18_the_whole_pool_is_wiped(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operations = book.borrows(23)
    assert send_queued(engine) == 3
    book.chain.rpc("anvil_dropAllTransactions")
    book.track_blocks(engine, 4)
    book.check(confirmed=operations)
    assert nonces() == [0, 1, 2]
    assert TransactionAttempt.objects.count() == 3


def test_f19_a_later_nonce_arrives_first(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operations = book.borrows(13)
    proxy.swallow(SEND, NOTHING)  # nonce 0 is lost on its way, nonce 1 waits in the pool
    assert send_queued(engine) == 2
    book.track_blocks(engine, 2)
    book.check(confirmed=[], not_done={OperationState.BUNDLED: operations})
    book.track_blocks(engine, 2)
    book.check(confirmed=operations)
    assert TransactionAttempt.objects.count() == 2


def test_f19_a_node_that_refuses_a_nonce_above_a_gap(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operations = book.borrows(13)
    proxy.swallow(SEND, NOTHING)
    proxy.refuse(SEND, "nonce too high: next nonce 0, tx nonce 1")
    send_queued(engine)
    assert [row.state for row in ChainTransaction.objects.order_by("nonce")] == ["BROADCAST", "SIGNED"]
    book.track_blocks(engine, 5)
    book.check(confirmed=operations)
    assert nonces() == [0, 1]


def test_f20_stuck_below_the_price_the_lowest_is_bumped_after_five_blocks(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING, times=2)
    send_queued(engine)
    book.track_blocks(engine, 6)
    book.check(confirmed=[operation])
    first, second = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    assert nonces() == [0]
    assert second.max_fee_per_gas_wei * 1000 >= first.max_fee_per_gas_wei * 1125
    assert Operation.objects.get().tx_hash == second.tx_hash


def test_f20_nothing_is_mined_while_the_driver_runs(book: Book) -> None:
    operation = book.borrow()
    report = driver.drive_wallet(max_seconds=0.5)
    assert (report.live, report.settled) == (True, 0)
    assert TransactionAttempt.objects.get().send_count == 1
    book.settle()
    book.check(confirmed=[operation])


def test_f21_a_halted_chain_is_no_reason_to_bump(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    send_queued(engine)
    for _ in range(10):
        track_transactions(engine)
    assert TransactionAttempt.objects.get().send_count == 1
    book.track_blocks(engine, 4)
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.count() == 1


def test_f22_a_base_fee_spike_evicts_it_and_a_bump_follows_the_market(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    send_queued(engine)
    first = TransactionAttempt.objects.get()
    book.chain.rpc("anvil_dropAllTransactions")
    for _ in range(5):
        price_out(book.chain, 50)
        book.track_blocks(engine, 1)
    price_out(book.chain, 60)
    book.track_blocks(engine, 1)
    book.check(confirmed=[operation])
    best = TransactionAttempt.objects.order_by("max_fee_per_gas_wei").last()
    assert best.max_fee_per_gas_wei >= 100 * GWEI > first.max_fee_per_gas_wei
    assert nonces() == [0]


def test_f22_a_base_fee_above_the_cap_holds_operations_back_until_it_falls(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    cap = wallet().fee_cap_wei
    PlatformWallet.objects.update(fee_cap_wei=1)
    dear = book.borrow()
    driver.drive_once()
    assert Operation.objects.get(pk=dear.pk).state == OperationState.QUEUED
    PlatformWallet.objects.update(fee_cap_wei=cap)
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation, dear])


def test_f23_every_replacement_is_dear_enough_for_geth(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    pool = GethPool()
    proxy.check(SEND, pool)
    send_queued(engine)
    for _ in range(16):
        price_out(book.chain, 40)
        book.track_blocks(engine, 1)
    book.check(confirmed=[operation])
    assert pool.refused == 0
    assert nonces() == [0]


def test_f23_an_underpriced_replacement_is_bumped_until_it_is_taken(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "replacement transaction underpriced", times=2)
    send_queued(engine)
    book.track_blocks(engine, 2)
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert TransactionAttempt.objects.count() == 3


def test_f24_the_old_attempt_is_mined_after_a_bump_and_adopted(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING, times=None)
    send_queued(engine)
    book.track_blocks(engine, 5)
    first, second = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    book.chain.rpc(SEND, first.raw)
    book.track_blocks(engine, 1)
    book.check(confirmed=[operation])
    assert Operation.objects.get().tx_hash == first.tx_hash
    assert book.chain.rpc("eth_getTransactionReceipt", second.tx_hash) is None


def test_f25_no_gas_money_pauses_the_wallet_and_it_resumes_by_itself(book: Book) -> None:
    operation = book.borrow()
    operator = book.chain.addresses["operator"]
    book.chain.rpc("anvil_setBalance", operator, "0x0")
    driver.drive_once()
    assert wallet().status == WalletStatus.PAUSED
    later = book.borrow()
    driver.drive_once()
    assert Operation.objects.get(pk=later.pk).state == OperationState.QUEUED
    book.chain.rpc("anvil_setBalance", operator, hex(10**20))
    driver.drive_once()
    assert wallet().status == WalletStatus.ACTIVE
    book.settle()
    book.check(confirmed=[operation, later])
    assert nonces() == [0, 1]


def test_f26_blocks_are_full_until_our_bid_is_the_better_one(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operations = book.borrows(3)
    send_queued(engine)
    for _ in range(7):
        fill_next_block(book.chain)
        book.track_blocks(engine, 1)
        assert Operation.objects.filter(state=OperationState.BUNDLED).count() == 3
    assert TransactionAttempt.objects.count() == 2  # bumped once, in the sixth block
    book.track_blocks(engine, 1)
    book.check(confirmed=operations)
    assert nonces() == [0]


def test_f27_the_block_gas_limit_is_below_the_transaction_before_it_is_sent(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    operation = book.borrow()
    book.chain.rpc("evm_setBlockGasLimit", hex(4_000_000))
    try:
        send_queued(engine)
        book.track_blocks(engine, 2)
        assert TransactionAttempt.objects.get().last_error_class in ("", SendClass.NO_ROOM)
        book.check(confirmed=[], not_done={OperationState.BUNDLED: [operation]})
    finally:
        book.chain.rpc("evm_setBlockGasLimit", hex(30_000_000))
    book.track_blocks(engine, 4)
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f27_the_block_gas_limit_is_cut_while_it_waits(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operations = book.borrows(13)
    send_queued(engine)
    book.chain.rpc("evm_setBlockGasLimit", hex(4_000_000))
    try:
        book.track_blocks(engine, 4)
        book.check(confirmed=[], not_done={OperationState.BUNDLED: operations})
    finally:
        book.chain.rpc("evm_setBlockGasLimit", hex(30_000_000))
    book.track_blocks(engine, 5)
    book.check(confirmed=operations)
    assert nonces() == [0, 1]
    states = set(ChainTransaction.objects.values_list("state", flat=True))
    assert states == {TransactionState.CONFIRMED}
