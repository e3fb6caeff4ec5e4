"""F28, F31 to F35: what the contracts do with operations, and what the books make of it."""

from collections.abc import Iterator

import pytest
from eth_abi.abi import encode
from pytest_django.fixtures import Settings

from chain.lending.bundles import OutcomeStatus
from chain.lending.encoding import Call, encode_call
from chain.models import ChainTransaction, Operation, OperationState, TransactionState, WalletStatus
from chain.operators import review
from chain.rpc.clients import get_client
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from tests.chain.book import Book, nonces, wallet
from tests.support.acting import staff
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


def empty_pockets(chain: Chain, payer: str) -> None:
    """Send all of `payer`'s USDC away, ahead of everything in the pool."""
    balance = chain.usdc_balance(payer)
    data = encode_call("transfer(address,uint256)", ["0x" + "11" * 20, balance])
    chain.rpc("anvil_setBalance", payer, hex(10**19))
    chain.rpc("anvil_impersonateAccount", payer)
    chain.rpc(
        "eth_sendTransaction",
        {
            "from": payer,
            "to": chain.addresses["usdc"],
            "data": data,
            "gas": hex(100_000),
            "maxFeePerGas": hex(10**12),
            "maxPriorityFeePerGas": hex(10**12),
        },
    )


def test_f28_a_simulation_that_reverts_spends_nothing(book: Book) -> None:
    operation = book.impossible_borrow()
    report = driver.drive_once()
    assert (report.settled, report.live) == (1, False)
    assert ChainTransaction.objects.count() == 0
    refused = Operation.objects.get()
    assert refused.reason.startswith("InsufficientCredit(")
    book.check(confirmed=[], not_done={OperationState.REFUSED: [operation]})


def test_f28_the_bad_one_is_left_out_and_the_others_go_on(book: Book) -> None:
    good = book.borrows(4)
    bad = book.impossible_borrow()
    good += book.borrows(5)
    driver.drive_once()
    book.settle()
    book.check(confirmed=good, not_done={OperationState.REFUSED: [bad]})
    assert nonces() == [0]


def test_f28_a_refusal_that_the_node_takes_back_is_none(book: Book, proxy: RpcProxy) -> None:
    panic = bytes.fromhex("4e487b71" + "11".rjust(64, "0"))
    refusal = "0x" + encode(["(uint8,bytes)[]"], [[(int(OutcomeStatus.FAILED), panic)]]).hex()
    operation = book.borrow()
    proxy.rewrite("eth_call", lambda _: refusal, times=1)
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


@pytest.fixture
def endpoints(chain: Chain, settings: Settings) -> Iterator[tuple[RpcProxy, RpcProxy]]:
    with RpcProxy(chain.url) as first, RpcProxy(chain.url) as second:
        settings.CHAIN_RPC_URLS = [first.url, second.url]
        get_client.cache_clear()
        yield first, second
    get_client.cache_clear()


def fails(count: int, which: int) -> str:
    """The answer of an executor to a simulation: one of the operations fails."""
    panic = bytes.fromhex("4e487b71" + "11".rjust(64, "0"))
    outcomes = [(int(OutcomeStatus.EXECUTED), b"")] * count
    outcomes[which] = (int(OutcomeStatus.FAILED), panic)
    return "0x" + encode(["(uint8,bytes)[]"], [outcomes]).hex()


def test_f28_what_one_endpoint_refuses_again_and_again_is_not_refused(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    first, _ = endpoints
    good, disputed, other = book.borrows(3)
    first.rewrite("eth_call", lambda _: fails(3, 1), times=2)
    driver.drive_once()
    assert Operation.objects.get(pk=disputed.pk).state == OperationState.QUEUED
    carried = Operation.objects.filter(state=OperationState.BUNDLED).values_list("pk", flat=True)
    assert set(carried) == {good.pk, other.pk}  # it holds nobody up
    first.heal()
    for _ in range(3):
        book.chain.mine()
        driver.drive_once()
    book.settle()
    book.check(confirmed=[good, disputed, other])


def test_f28_what_the_endpoints_disagree_about_is_simulated_again_at_the_next_block(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    first, second = endpoints
    first.rewrite("eth_call", lambda _: fails(1, 0), times=None)
    book.borrow()
    engine = driver._take_lease(None)
    assert engine is not None
    engine.read_head()
    assert send_queued(engine) == 0
    assert (first.received["eth_call"], second.received["eth_call"]) == (2, 1)
    assert send_queued(engine) == 0
    assert (first.received["eth_call"], second.received["eth_call"]) == (2, 1)
    book.track_blocks(engine, 1)
    assert send_queued(engine) == 0
    assert (first.received["eth_call"], second.received["eth_call"]) == (4, 2)
    engine.lease.release()


@pytest.mark.parametrize("answer", ["0x", "refusal"])
def test_f28_an_endpoint_without_the_state_freezes_no_wallet(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy], answer: str
) -> None:
    first, _ = endpoints
    if answer == "0x":
        first.rewrite("eth_call", lambda _: "0x", times=2)
    else:
        first.refuse("eth_call", "execution reverted", times=2, code=3)
    operation = book.borrow()
    driver.drive_once()
    assert (wallet().status, Operation.objects.get().state) == (WalletStatus.ACTIVE, OperationState.QUEUED)
    book.chain.mine()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def test_f28_a_refusal_waits_for_an_endpoint_that_does_not_answer_and_others_do_not(
    book: Book, endpoints: tuple[RpcProxy, RpcProxy]
) -> None:
    _, second = endpoints
    bad, good = book.impossible_borrow(), book.borrow()
    second.answer_status("eth_call", 503, times=1)
    driver.drive_once()
    assert Operation.objects.get(pk=bad.pk).state == OperationState.QUEUED
    assert Operation.objects.get(pk=good.pk).state == OperationState.BUNDLED
    for _ in range(3):
        book.chain.mine()
        driver.drive_once()
    book.check(confirmed=[good], not_done={OperationState.REFUSED: [bad]})


def test_f33_one_bad_operation_among_ten(book: Book) -> None:
    payer = book.chain.world.partners[1].settlement_address
    good = book.borrows(4)
    bad = book.borrow_and_pull(payer, 1_000_000)
    good += book.borrows(5)
    driver.drive_once()
    empty_pockets(book.chain, payer)
    book.settle()
    assert nonces() == [0]
    assert Operation.objects.get(pk=bad.pk).reason.startswith("ERC20InsufficientBalance(")
    book.check(confirmed=good, not_done={OperationState.FAILED: [bad]})


def test_f34_the_second_leg_fails_and_the_borrow_is_undone(book: Book) -> None:
    payer = book.chain.world.partners[1].settlement_address
    operation = book.borrow_and_pull(payer, 1_000_000)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    empty_pockets(book.chain, payer)
    book.settle()
    book.check(confirmed=[], not_done={OperationState.FAILED: [operation]})
    book.check_nothing_moved()


def test_f34_a_pay_out_to_nobody_is_refused_before_it_costs_anything(book: Book) -> None:
    operation = book.borrow()
    zero = "0x" + "00" * 20
    transfer = Call(book.chain.addresses["usdc"], 0, encode_call("transfer(address,uint256)", [zero, 1]))
    Operation.objects.update(calls=[operation.calls[0], transfer.as_json()])
    driver.drive_once()
    assert Operation.objects.get().reason.startswith("ERC20InvalidReceiver(")
    book.check(confirmed=[], not_done={OperationState.REFUSED: [operation]})


def test_f35_the_same_uid_in_two_transactions_has_one_effect(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    Operation.objects.update(state=OperationState.QUEUED, transaction=None)  # as a restored backup would have it
    driver.drive_once()
    first, second = ChainTransaction.objects.order_by("nonce")
    book.settle()
    book.check(confirmed=[operation])
    settled = Operation.objects.get()
    assert settled.tx_hash == first.attempts.get().tx_hash
    assert settled.transaction_id == second.pk


def test_f35_what_the_chain_executed_already_is_adopted_and_not_sent_again(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    before = Operation.objects.get()
    Operation.objects.update(
        state=OperationState.QUEUED, transaction=None, tx_hash="", block_number=None, block_hash=""
    )
    driver.drive_once()
    book.check(confirmed=[operation])
    adopted = Operation.objects.get()
    assert nonces() == [0]
    assert (adopted.tx_hash, adopted.block_hash) == (before.tx_hash, before.block_hash)
    assert adopted.outcome_logs == before.outcome_logs


@pytest.mark.parametrize("changed", [{"data": f"0x{1:064x}"}, {"address": "0x" + "77" * 20}])
def test_f31_an_execution_without_the_expected_log_or_amount_is_for_a_person(
    book: Book, changed: dict[str, str]
) -> None:
    operation = book.borrow()
    effect = [operation.effect[0], {**operation.effect[1], **changed}, *operation.effect[2:]]
    Operation.objects.update(effect=effect)
    driver.drive_once()
    book.settle()
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    assert Operation.objects.get().reason == "it was executed without the expected log"
    engine = driver._take_lease(None)
    assert engine is not None
    evidence = review.gather_evidence(engine, Operation.objects.get())
    for wrong in (
        lambda: review.adopt_operation(engine, evidence, actor=staff("test")),
        lambda: review.fail_operation(engine, evidence, actor=staff("test"), reason="it looks lost"),
        lambda: review.requeue_operation(engine, evidence, actor=staff("test")),
    ):
        with pytest.raises(review.DecisionRefused):
            wrong()
    review.adopt_operation(engine, evidence, actor=staff("test"), without_proof=True)
    book.check(confirmed=[operation])


def test_f32_a_transaction_that_runs_out_of_gas_is_halved(book: Book, proxy: RpcProxy, settings: Settings) -> None:
    """The node simulates with more gas than the transaction has."""
    settings.CHAIN_BUNDLE_GAS_LIMIT = 640_000
    proxy.meddle("eth_call", lambda params: params[0].update(gas=hex(10_000_000)))
    operations = book.borrows(4)
    driver.drive_once()
    book.settle()
    first, *others = ChainTransaction.objects.order_by("nonce")
    assert first.state == TransactionState.REVERTED
    assert [transaction.operations.count() for transaction in others] == [2, 2]
    book.check(confirmed=operations)
    assert nonces() == [0, 1, 2]


def test_f32_a_transaction_that_would_run_out_of_gas_is_halved_before_it_is_sent(
    book: Book, settings: Settings
) -> None:
    settings.CHAIN_BUNDLE_GAS_LIMIT = 640_000
    operations = book.borrows(4)
    driver.drive_once()
    book.settle()
    assert {row.state for row in ChainTransaction.objects.all()} == {TransactionState.CONFIRMED}
    book.check(confirmed=operations)


def test_operations_go_oldest_first_in_bundles_of_ten(book: Book) -> None:
    book.borrows(23)
    operations = list(Operation.objects.order_by("created_at", "id"))
    driver.drive_once()
    transactions = ChainTransaction.objects.order_by("nonce")
    in_order = [op.key for transaction in transactions for op in transaction.operations.order_by("position_in_bundle")]
    assert in_order == [operation.key for operation in operations]
    assert [transaction.operations.count() for transaction in transactions] == [10, 10, 3]
    book.settle()
    book.check(confirmed=operations)
