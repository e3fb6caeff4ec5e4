"""F46 to F48, F51: what is believed of nodes, and on which evidence."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.rpc import clients, health
from chain.rpc import endpoints as endpoints_module
from chain.rpc.clients import ChainUnavailable, get_client
from chain.rpc.endpoints import RpcEndpoint
from chain.rpc.errors import SendClass
from chain.settlement import driver, reorgs
from chain.settlement.reasons import Circumstances
from chain.wallet import lease
from partner_platform.core import clock
from tests.chain.book import Book, nonces, wallet
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

BLOCK = "eth_getBlockByNumber"
COUNT = "eth_getTransactionCount"
RECEIPT = "eth_getTransactionReceipt"
SEND = "eth_sendRawTransaction"
EVERYTHING = (RECEIPT, BLOCK, COUNT, SEND, "eth_call", "eth_getLogs", "eth_getTransactionByHash")
NOTHING = "0x" + "00" * 32


@pytest.fixture
def endpoints(chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RpcProxy, RpcProxy]]:
    """Two endpoints of one chain, each of which can misbehave by itself; their heads are compared at every look, and
    as a test mines without waiting, a head has stood for long enough, and is old enough, by its blocks alone.
    """
    monkeypatch.setattr(clients, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(health, "STALL_SECONDS", -math.inf)
    with RpcProxy(chain.url) as first, RpcProxy(chain.url) as second:
        settings.CHAIN_RPC_URLS = [first.url, second.url]
        clients.get_client.cache_clear()
        yield first, second


def roll_back(chain: Chain, blocks: int) -> None:
    """The newest blocks are gone, and nobody has what was in them."""
    chain.rpc("anvil_rollback", blocks)
    chain.rpc("anvil_dropAllTransactions")


def step_and_mine(book: Book, blocks: int) -> None:
    for _ in range(blocks):
        driver.drive_once()
        book.chain.mine()


def sent_by_somebody_else(book: Book) -> None:
    """A transaction of the platform's key that the platform did not make, in a block."""
    operator = book.chain.addresses["operator"]
    book.chain.rpc("anvil_impersonateAccount", operator)
    book.chain.rpc("eth_sendTransaction", {"from": operator, "to": operator, "gas": "0x5208"})
    book.chain.mine()
    book.chain.rpc("anvil_stopImpersonatingAccount", operator)


# --- F46 ---


def test_f46_reorged_while_no_driver_ran_and_final_since(book: Book) -> None:
    first = book.borrow()
    driver.drive_once()
    book.settle()
    roll_back(book.chain, 1)
    book.finalize()
    book.chain.mine(3)
    book.check_nothing_moved()  # on this chain, which is final, nobody ever borrowed
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    step_and_mine(book, 3)
    second = book.borrow()
    step_and_mine(book, 3)
    driver.drive_once()
    book.check(confirmed=[first, second])
    assert nonces() == [0, 1]
    assert wallet().incident.startswith("a reorg undid 1 settled operations")
    assert AuditEntry.objects.filter(action="settlement.reopened").count() == 1


def test_f46_mined_below_the_depth_reorged_while_no_driver_ran_and_final_since(book: Book, settings: Settings) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    operation = book.borrow()
    driver.drive_once()
    book.chain.mine()
    driver.drive_once()
    assert ChainTransaction.objects.get().state == TransactionState.MINED
    roll_back(book.chain, 1)
    book.finalize()
    book.chain.mine(5)
    step_and_mine(book, 6)
    book.check(confirmed=[operation])


@pytest.mark.parametrize("depth", [200, 300])
def test_f46_a_reorg_above_the_final_block_however_deep(book: Book, proxy: RpcProxy, depth: int) -> None:
    """On a chain whose finality comes from another one, hundreds of blocks are not final yet."""
    proxy.meddle(BLOCK, lambda params: params.__setitem__(0, "0x1") if params[0] == "finalized" else None, times=None)
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    for _ in range(depth // 50):
        book.chain.mine(50)
        driver.drive_once()
    roll_back(book.chain, depth + 2)
    book.chain.mine(depth + 10)
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f46_even_a_final_block_that_was_replaced_is_noticed(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.chain.mine(40)
    driver.drive_once()
    final = wallet().final_block
    assert final is not None
    assert final > (Operation.objects.get().block_number or 0)
    roll_back(book.chain, 41)
    book.chain.mine(60)
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert f"block {final} was final and is no longer on the chain" in caplog.text


def test_f46_what_was_verified_is_stored_with_what_was_settled(book: Book) -> None:
    book.borrow()
    driver.drive_once()
    book.settle()
    operation, row = Operation.objects.get(), wallet()
    assert (row.verified_block, row.verified_hash) == (operation.block_number, operation.block_hash)


def test_f46_what_is_final_is_not_compared_again(book: Book) -> None:
    book.borrow()
    driver.drive_once()
    book.settle()
    settled = Operation.objects.get().block_number or 0
    book.chain.mine(40)
    driver.drive_once()
    newest = book.chain.block_number()
    assert wallet().final_block == newest - 8  # two epochs of the tests' anvil
    assert newest - 8 > settled


def settled_then_reorged(book: Book) -> tuple[Operation, Operation]:
    """An operation that is settled in a block which is not on the chain any more, and how it was settled."""
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    before = Operation.objects.get()
    roll_back(book.chain, 1)
    book.chain.mine(2)
    return operation, before


def on_the_old_branch(proxy: RpcProxy, before: Operation) -> None:
    """The endpoint has the block that was replaced, and none above it."""
    height = before.block_number or 0

    def old(block: dict | None) -> dict | None:
        if block is None or int(block["number"], 16) < height:
            return block
        return {**block, "hash": before.block_hash} if int(block["number"], 16) == height else None

    proxy.rewrite(BLOCK, old, times=None)


def test_f46_a_reorg_that_one_endpoint_shows_a_moment_before_the_other(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    _, second = endpoints
    operation, before = settled_then_reorged(book)
    on_the_old_branch(second, before)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.CONFIRMED  # not every endpoint shows it yet
    second.heal()
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert AuditEntry.objects.filter(action="settlement.reopened").count() == 1


def test_f46_a_reorg_behind_a_url_of_two_nodes_of_which_one_is_behind(book: Book, proxy: RpcProxy) -> None:
    """The newest block is one node's; the next post is answered by the other, which has no block of that height."""
    operation, before = settled_then_reorged(book)
    asked: list[bool] = []

    def behind(block: dict | None) -> dict | None:
        if block is None or int(block["number"], 16) != before.block_number:
            return block
        asked.append(True)
        return None if len(asked) == 2 else block

    proxy.rewrite(BLOCK, behind, times=None)
    step_and_mine(book, 1)
    proxy.heal()
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f46_headers_of_a_node_that_has_not_the_newest_block_are_not_compared(book: Book, proxy: RpcProxy) -> None:
    """After a reorg the node that answers still has the old branch: nothing it shows is of the chain of the head."""
    operation, before = settled_then_reorged(book)
    newest = book.chain.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    asked: Counter[str] = Counter()

    def of_another_node(block: dict | None) -> dict | None:
        if block and block["number"] == hex(before.block_number or 0):
            asked["height"] += 1
            return {**block, "hash": before.block_hash} if asked["height"] == 2 else block
        if block and block["hash"] == newest and asked["height"]:
            asked["head"] += 1  # the first time with the block that was verified last
            return None if asked["head"] == 2 else block
        return block

    proxy.rewrite(BLOCK, of_another_node, times=None)
    with contextlib.suppress(ChainUnavailable):
        driver.drive_once()
    proxy.heal()
    step_and_mine(book, 5)
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f46_somebody_is_told_where_the_endpoints_disagree_about_a_settled_block_for_long(
    book: Book,
    endpoints: tuple[RpcProxy, RpcProxy],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 5
    monkeypatch.setattr(health, "STALL_BLOCKS", 1_000)
    _, second = endpoints
    operation, before = settled_then_reorged(book)
    on_the_old_branch(second, before)
    step_and_mine(book, 12)
    assert Operation.objects.get().state == OperationState.CONFIRMED
    told = f"wallet {wallet().address}: what is settled could not be compared with the chain for 6 blocks"
    assert [record.getMessage()[: len(told)] for record in caplog.records if "compared" in record.message] == [told]
    second.heal()
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f46_a_comparison_that_takes_longer_than_a_lease_is_finished(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wallet of an earlier version has no verified block: all that it ever sent is compared at its first driver."""
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    for _ in range(3):
        book.borrow()
        driver.drive_once()
        book.settle()
    PlatformWallet.objects.update(verified_block=None, verified_hash="", final_block=None, final_hash="")
    monkeypatch.setattr(reorgs, "HEADERS_PER_POST", 1)
    monkeypatch.setattr(lease, "RENEW_AFTER_SECONDS", 0.0)
    held = [wallet().lease_holds]
    batch = get_client().batch

    def counted(calls: Any) -> Any:
        held.append(wallet().lease_holds)
        return batch(calls)

    monkeypatch.setattr(get_client(), "batch", counted)
    driver.drive_once()
    assert held[-1] - held[0] >= 4  # once after each post
    assert wallet().verified_block == book.chain.block_number()
    assert Operation.objects.get(pk=operation.pk).state == OperationState.CONFIRMED


# --- F47 ---


def test_f47_the_first_endpoint_takes_it_and_passes_nothing_on(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    first, second = endpoints
    first.swallow(SEND, NOTHING, times=None)
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert first.received[SEND] == second.received[SEND]
    assert TransactionAttempt.objects.count() == 1


def test_f47_an_endpoint_that_failed_a_moment_ago_is_sent_to_with_the_next_resend(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = endpoints
    first.swallow(SEND, NOTHING, times=None)
    operation = book.borrow()
    with monkeypatch.context() as patch:
        patch.setattr(RpcEndpoint, "is_resting", property(lambda self: self.health.name in second.url))
        driver.drive_once()
    assert (first.received[SEND], second.received[SEND]) == (1, 0)
    step_and_mine(book, 4)
    book.settle()
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.count() == 1


def test_f47_a_bump_goes_to_every_endpoint_too(book: Book, endpoints: tuple[RpcProxy, RpcProxy]) -> None:
    first, second = endpoints
    first.swallow(SEND, NOTHING, times=None)
    second.swallow(SEND, NOTHING, times=6)
    operation = book.borrow()
    step_and_mine(book, 12)
    book.settle()
    book.check(confirmed=[operation])
    assert first.received[SEND] == second.received[SEND]


def test_f47_the_first_endpoints_head_stands_still(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = endpoints
    done = book.borrow()
    driver.drive_once()
    book.settle()
    frozen = book.chain.block_number()
    stand_still(first, frozen)
    operation = book.borrow()
    step_and_mine(book, 8)
    book.check_states(confirmed=[done], not_done={OperationState.EXECUTED: [operation]})  # the first is waited for
    step_and_mine(book, health.STALL_BLOCKS)
    driver.drive_once()
    book.check(confirmed=[done, operation])
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    behind = f"RPC endpoint {first.url[7:]}: its head {frozen} is"
    assert errors == [
        f"{behind} {health.LAG_BLOCKS + 1} blocks behind; the others are asked first until it catches up",
        (
            f"{behind} {health.STALL_BLOCKS + 1} blocks behind and stands still; conclusions are drawn without it until"
            " it catches up"
        ),
    ]
    first.heal()
    driver.drive_once()
    assert [one.standing for one in get_client().health] == [health.Standing.GOOD, health.Standing.GOOD]


def stand_still(proxy: RpcProxy, number: int) -> None:
    """The endpoint knows no block above this one any more."""

    def newest(params: list) -> None:
        if params[0] == "latest":
            params[0] = hex(number)

    def known(block: dict | None) -> dict | None:
        return block if block and int(block["number"], 16) <= number else None

    def known_receipt(receipt: dict | None) -> dict | None:
        return receipt if receipt and int(receipt["blockNumber"], 16) <= number else None

    proxy.meddle(BLOCK, newest, times=None)
    proxy.rewrite("eth_blockNumber", lambda _: hex(number), times=None)
    proxy.rewrite(RECEIPT, known_receipt, times=None)


def test_f47_a_second_endpoint_that_gives_no_answer_is_waited_for_and_then_told(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, second = endpoints
    operation = book.borrow()
    driver.drive_once()
    for method in ("eth_blockNumber", RECEIPT, BLOCK, COUNT, SEND, "eth_chainId"):
        second.answer_status(method, 503, times=None)
    step_and_mine(book, 3)
    book.check_states(confirmed=[], not_done={OperationState.EXECUTED: [operation]})
    monkeypatch.setattr(health, "SILENT_SECONDS", 0.0)
    step_and_mine(book, 2)
    driver.drive_once()
    book.check(confirmed=[operation])
    told = [record for record in caplog.records if record.levelname == "ERROR" and "no answer for" in record.message]
    assert len(told) == 1


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The time as the endpoints' health sees it passes as the test says, and a failed endpoint rests for none."""
    moment = [1_000.0]
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: moment[0]))
    monkeypatch.setattr(endpoints_module, "REST_SECONDS", 0.0)

    def pass_time(seconds: float) -> None:
        moment[0] += seconds

    return pass_time


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def standings() -> list[health.Standing]:
    return [one.standing for one in get_client().health]


def test_f47_an_endpoint_that_answers_for_its_head_alone_is_waited_for_and_then_told(
    book: Book,
    endpoints: tuple[RpcProxy, RpcProxy],
    passes: Callable[[float], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is over its quota: 429 to all but the cheapest questions."""
    _, second = endpoints
    operation = book.borrow()
    driver.drive_once()
    for method in EVERYTHING:
        second.answer_status(method, 429, times=None)
    for _ in range(10):
        book.chain.mine()
        driver.drive_once()
        book.check_states(confirmed=[], not_done={OperationState.EXECUTED: [operation]})
        assert standings() == [health.Standing.GOOD, health.Standing.GOOD]
        passes(2)
    driver.drive_once()
    book.check(confirmed=[operation])
    [told] = errors(caplog)
    silent = f"RPC endpoint {second.url[7:]}: no answer for 20 s to eth_getBlockByNumber"
    assert told == f"{silent}; conclusions are drawn without it until it answers"
    second.heal()
    again = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation, again])
    assert standings() == [health.Standing.GOOD, health.Standing.GOOD]
    assert len(errors(caplog)) == 1


def test_f47_an_endpoint_that_answers_all_but_one_kind_of_question_is_not_waited_for_and_still_heard(
    book: Book,
    endpoints: tuple[RpcProxy, RpcProxy],
    passes: Callable[[float], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, second = endpoints
    operation = book.borrow()
    driver.drive_once()
    second.answer_status(RECEIPT, 503, times=None)
    for _ in range(10):
        book.chain.mine()
        driver.drive_once()
        book.check_states(confirmed=[], not_done={OperationState.EXECUTED: [operation]})
        passes(2)
    driver.drive_once()
    book.check(confirmed=[operation])
    [told] = errors(caplog)
    assert told == (
        f"RPC endpoint {second.url[7:]}: no answer for 20 s to eth_getBlockByNumber, eth_getTransactionReceipt;"
        " conclusions are drawn without it until it answers"
    )
    second.rewrite(COUNT, lambda count: hex(int(count, 16) + 3), times=None)
    held = book.borrow()
    driver.drive_once()
    assert nonces() == [0]  # what it answers is a doubt as before: nothing new is sent
    book.check(confirmed=[operation], not_done={OperationState.QUEUED: [held]})


def test_f47_an_endpoint_that_is_far_behind_and_advances_is_told_and_left_out(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It reads the chain anew: 200 blocks behind, one more with each of the chain's."""
    monkeypatch.setattr(health, "STALL_SECONDS", 30.0)
    _, second = endpoints
    book.chain.mine(200)
    at = [book.chain.block_number() - 200]
    sync_again(second, at)
    made_at = int(book.chain.rpc(BLOCK, hex(at[0]), False)["timestamp"], 16)
    monkeypatch.setattr(clients, "clock", SimpleNamespace(now=lambda: clock.from_seconds(made_at + 400)))
    operation = book.borrow()
    for _ in range(4):
        driver.drive_once()
        book.chain.mine()
        at[0] += 1
    driver.drive_once()
    book.check(confirmed=[operation])
    of_it = f"RPC endpoint {second.url[7:]}: its head {at[0] - 4} is 200 blocks behind"
    assert errors(caplog) == [
        f"{of_it}; the others are asked first until it catches up",
        f"{of_it}, made 400 s ago; conclusions are drawn without it until it catches up",
    ]
    assert standings() == [health.Standing.GOOD, health.Standing.FAR_BEHIND]
    second.heal()
    driver.drive_once()
    assert standings() == [health.Standing.GOOD, health.Standing.GOOD]


def sync_again(proxy: RpcProxy, at: list[int]) -> None:
    """The endpoint knows no block above `at[0]`."""

    def known(params: list) -> None:
        if params[0] in ("latest", "finalized"):
            params[0] = hex(at[0])
        elif int(params[0], 16) > at[0]:
            params[0] = hex(10**9)

    def known_receipt(receipt: dict | None) -> dict | None:
        return receipt if receipt and int(receipt["blockNumber"], 16) <= at[0] else None

    proxy.meddle(BLOCK, known, times=None)
    proxy.rewrite("eth_blockNumber", lambda _: hex(at[0]), times=None)
    proxy.rewrite(RECEIPT, known_receipt, times=None)


def test_f47_an_endpoint_that_claims_a_head_far_ahead_is_not_believed_alone(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lead grows with each look, and its receipts lack what the operation moved; the other one's blocks are new."""
    monkeypatch.setattr(health, "STALL_SECONDS", 30.0)
    newest = lambda: int(book.chain.rpc(BLOCK, "latest", False)["timestamp"], 16)  # noqa: E731
    monkeypatch.setattr(clients, "clock", SimpleNamespace(now=lambda: clock.from_seconds(newest())))
    first, _ = endpoints
    operation = book.borrow()
    driver.drive_once()
    lead = iter(range(1_000, 10**9, 20))
    first.rewrite("eth_blockNumber", lambda number: hex(int(number, 16) + next(lead)), times=None)
    first.rewrite(RECEIPT, lambda receipt: {**receipt, "logs": receipt["logs"][:-2]} if receipt else None, times=None)
    for _ in range(health.STALL_BLOCKS + 5):
        book.chain.mine()
        driver.drive_once()
        assert standings()[1] in (health.Standing.GOOD, health.Standing.LAGS)
        assert Operation.objects.get().state not in (OperationState.CONFIRMED, OperationState.NEEDS_REVIEW)
    assert not any("conclusions are drawn without it" in told for told in errors(caplog))
    first.heal()
    driver.drive_once()
    driver.drive_once()
    book.check(confirmed=[operation])


@pytest.fixture
def living(endpoints: tuple[RpcProxy, RpcProxy], monkeypatch: pytest.MonkeyPatch) -> RpcProxy:
    """The first endpoint; the second one is down, and has been for long."""
    first, second = endpoints
    monkeypatch.setattr(health, "SILENT_SECONDS", 0.0)
    for method in (*EVERYTHING, "eth_blockNumber", "eth_chainId"):
        second.answer_status(method, 503, times=None)
    return first


def test_f47_an_endpoint_that_is_down_does_not_hide_that_the_fee_is_too_low(book: Book, living: RpcProxy) -> None:
    too_cheap = "max fee per gas less than block base fee"
    sent: list[str] = []

    def refuse_the_first(params: list) -> str | None:
        sent.append(params[0])
        return too_cheap if params[0] == sent[0] else None

    living.check(SEND, refuse_the_first)
    operation = book.borrow()
    driver.drive_once()
    cheap, dear = TransactionAttempt.objects.order_by("max_fee_per_gas_wei")
    assert sent == [cheap.raw, dear.raw]
    assert (cheap.last_error_class, cheap.last_error) == (SendClass.UNDERPRICED, too_cheap)
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert TransactionAttempt.objects.count() == 2


def test_f47_an_endpoint_that_is_down_does_not_hide_that_there_is_no_gas_money(book: Book, living: RpcProxy) -> None:
    no_funds = "insufficient funds for gas * price + value"
    living.refuse(SEND, no_funds, times=None)
    operation = book.borrow()
    driver.drive_once()
    assert (wallet().status, wallet().status_reason) == (WalletStatus.PAUSED, f"no gas money: {no_funds}")
    later = book.borrow()
    step_and_mine(book, 3)
    book.check(confirmed=[], not_done={OperationState.BUNDLED: [operation], OperationState.QUEUED: [later]})
    assert (nonces(), TransactionAttempt.objects.count()) == ([0], 1)
    living.heal()
    driver.drive_once()
    assert wallet().status == WalletStatus.ACTIVE
    book.settle(blocks=6)
    book.check(confirmed=[operation, later])
    assert nonces() == [0, 1]


def test_f47_an_endpoint_that_is_down_leaves_it_open_whether_anybody_takes_what_the_other_calls_malformed(
    book: Book, living: RpcProxy
) -> None:
    living.refuse(SEND, "oversized data", times=None)
    operation = book.borrow()
    step_and_mine(book, 3)
    attempt = TransactionAttempt.objects.get()  # no noop took its nonce
    assert (attempt.last_error_class, attempt.last_error) == (SendClass.UNKNOWN, "oversized data")
    living.heal()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.count() == 1


def test_f47_what_one_endpoint_takes_is_taken_and_the_other_ones_refusal_is_told(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    first, second = endpoints
    first.refuse(SEND, "insufficient funds for gas * price + value", times=None)
    second.swallow(SEND, NOTHING, times=None)
    book.borrow()
    driver.drive_once()
    assert wallet().status == WalletStatus.ACTIVE
    transaction, attempt = ChainTransaction.objects.get(), TransactionAttempt.objects.get()
    assert (transaction.state, attempt.last_error_class) == (TransactionState.BROADCAST, "")
    assert Circumstances.of_wallet(wallet()).of_transaction(transaction) == (
        f"nonce 0 is BROADCAST; PAYLOAD {attempt.tx_hash}, sent 1 times, was taken by a node; another one refused it:"
        " insufficient funds for gas * price + value"
    )


# --- F48 ---


def test_f48_one_endpoint_names_a_higher_count_once(book: Book, endpoints: tuple[RpcProxy, RpcProxy]) -> None:
    _, other = endpoints
    first = book.borrow()
    driver.drive_once()
    book.settle()
    other.rewrite(COUNT, lambda count: hex(int(count, 16) + 3), times=5)  # latest and pending, at two looks
    second = book.borrow()
    driver.drive_once()
    assert nonces() == [0]  # nothing new is sent on such a word
    driver.drive_once()
    book.settle()
    book.check(confirmed=[first, second])
    assert nonces() == [0, 1]
    assert (wallet().next_nonce, wallet().incident, wallet().status) == (2, "", WalletStatus.ACTIVE)


def test_f48_not_even_a_final_count_is_believed_of_one_of_two(book: Book, endpoints: tuple[RpcProxy, RpcProxy]) -> None:
    _, other = endpoints
    first = book.borrow()
    driver.drive_once()
    book.settle()
    other.rewrite(COUNT, lambda count: hex(int(count, 16) + 3), times=3)  # the final one too
    driver.drive_once()
    assert (wallet().next_nonce, wallet().nonces_from, wallet().incident) == (1, 0, "")
    second = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[first, second])


def test_f48_a_foreign_transaction_that_a_reorg_took_back_moves_nothing(book: Book) -> None:
    first = book.borrow()
    driver.drive_once()
    book.settle()
    book.finalize()
    sent_by_somebody_else(book)
    held = book.borrow()
    driver.drive_once()
    assert (wallet().next_nonce, nonces()) == (1, [0])
    roll_back(book.chain, 1)
    book.chain.mine(2)
    driver.drive_once()
    book.settle()
    book.check(confirmed=[first, held])
    assert nonces() == [0, 1]
    assert wallet().incident == ""


def test_f48_a_foreign_transaction_in_the_pool_holds_sending_back_until_it_is_gone(book: Book) -> None:
    operator = book.chain.addresses["operator"]
    driver.drive_once()
    book.chain.rpc("anvil_impersonateAccount", operator)
    book.chain.rpc("eth_sendTransaction", {"from": operator, "to": operator, "gas": "0x5208"})
    book.chain.rpc("anvil_stopImpersonatingAccount", operator)
    operation = book.borrow()
    driver.drive_once()
    assert (nonces(), wallet().next_nonce) == ([], 0)
    book.chain.rpc("anvil_dropAllTransactions")
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f48_somebody_is_told_why_nothing_is_sent_for_long(
    book: Book, proxy: RpcProxy, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 10
    driver.drive_once()
    deployer = book.chain.addresses["deployer"]
    proxy.meddle(COUNT, lambda params: params.__setitem__(0, deployer) if params[1] == "pending" else None, times=None)
    book.borrow()
    step_and_mine(book, 40)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1
    assert f"nonces of {wallet().address} used, the database knows those below 0" in told[0]
    assert nonces() == []


def test_f48_a_foreign_transaction_that_is_final_moves_the_counter_and_freezes_the_wallet(book: Book) -> None:
    first = book.borrow()
    driver.drive_once()
    book.settle()
    sent_by_somebody_else(book)
    book.finalize()
    held = book.borrow()
    driver.drive_once()  # the database was compared with the chain, nothing was missing in it
    assert (wallet().nonces_from, wallet().scan_pending, wallet().status) == (2, False, WalletStatus.ACTIVE)
    assert wallet().incident == "nonces 1 to 1 were used by transactions that the database does not know"
    driver.drive_once()
    book.settle()
    book.check(confirmed=[first, held])
    assert nonces() == [0, 2]


def test_f48_a_counter_that_a_wrong_word_raised_is_lowered_by_a_newer_final_block(book: Book, proxy: RpcProxy) -> None:
    first = book.borrow()
    driver.drive_once()
    book.settle()
    proxy.rewrite(COUNT, lambda count: hex(int(count, 16) + 3), times=3)  # the only endpoint, in all it says
    book.finalize()
    driver.drive_once()
    assert (wallet().next_nonce, wallet().nonces_from) == (4, 4)
    book.chain.mine()
    driver.drive_once()
    assert (wallet().next_nonce, wallet().nonces_from) == (1, 1)
    assert AuditEntry.objects.get(action="settlement.counter_lowered").after["nextNonce"] == 1
    second = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[first, second])
    assert nonces() == [0, 1]


def test_f48_what_went_out_above_a_wrong_count_is_mined_once_noops_have_filled_the_gap(
    book: Book, proxy: RpcProxy
) -> None:
    proxy.rewrite(COUNT, lambda _: "0x3", times=1)  # at the wallet's first use
    operation = book.borrow()
    driver.drive_once()
    assert nonces() == [3]
    book.finalize()
    step_and_mine(book, 2)
    book.settle()
    book.check(confirmed=[operation])
    assert [row.state for row in ChainTransaction.objects.order_by("nonce")] == ["CANCELLED"] * 3 + ["CONFIRMED"]


def test_f48_a_wrong_count_at_a_wallets_first_use_is_put_right_too(book: Book, proxy: RpcProxy) -> None:
    proxy.rewrite(COUNT, lambda _: "0x5", times=1)
    operation = book.borrow()
    driver.drive_once()
    assert PlatformWallet.objects.get().nonces_from == 5
    book.finalize()
    step_and_mine(book, 2)
    book.settle()
    book.check(confirmed=[operation])


# --- F51 ---


def test_f51_an_outcome_is_told_when_every_endpoint_shows_it(book: Book, endpoints: tuple[RpcProxy, RpcProxy]) -> None:
    _, second = endpoints
    operation = book.borrow()
    driver.drive_once()
    second.rewrite(RECEIPT, lambda _: None, times=None)
    step_and_mine(book, 3)
    assert Operation.objects.get().state == OperationState.EXECUTED
    second.heal()
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f51_a_receipt_that_the_endpoints_show_differently_is_told_to_nobody_but_a_person(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = endpoints
    operation = book.borrow()
    driver.drive_once()
    first.rewrite(RECEIPT, lambda receipt: {**receipt, "logs": receipt["logs"][:-2]} if receipt else None, times=None)
    book.chain.mine()
    driver.drive_once()
    assert Operation.objects.get().state not in (OperationState.CONFIRMED, OperationState.NEEDS_REVIEW)
    assert "the endpoints disagree about transaction" in caplog.text
    first.heal()
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f51_a_receipt_of_a_block_that_is_not_the_chains_is_not_believed(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.chain.mine()
    forked = {"blockHash": "0x" + "ab" * 32}
    proxy.rewrite(RECEIPT, lambda receipt: {**receipt, **forked} if receipt else None, times=1)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    driver.drive_once()
    book.check(confirmed=[operation])


def test_f51_the_endpoints_disagree_about_what_is_final_and_nothing_is(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], caplog: pytest.LogCaptureFixture
) -> None:
    _, second = endpoints
    book.borrow()
    driver.drive_once()
    before = wallet().final_block
    final = {"hash": "0x" + "cd" * 32}
    second.rewrite(BLOCK, lambda block: {**block, **final}, times=None)
    book.chain.mine(40)
    driver.drive_once()
    assert wallet().final_block == before
    assert "the endpoints disagree about block" in caplog.text
