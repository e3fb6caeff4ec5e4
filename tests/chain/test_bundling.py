"""What a bundle is made of, and what is said where it comes to nothing."""

import pytest
from pytest_django.fixtures import Settings

from chain.models import ChainTransaction, Operation, OperationState, TransactionAttempt, TransactionState
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from tests.chain.book import Book, nonces, wallet
from tests.chain.test_faults_flow import as_owner
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"


def test_operations_know_their_places_in_their_bundles(book: Book, settings: Settings) -> None:
    settings.CHAIN_OPERATIONS_PER_BUNDLE = 3
    operations = book.borrows(5)
    driver.drive_once()
    places = Operation.objects.values_list("key", "transaction__nonce", "position_in_bundle", "state", "reason")
    assert sorted(places) == [
        (operation.key, nonce, place, OperationState.BUNDLED, "")
        for operation, (nonce, place) in zip(operations, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], strict=True)
    ]
    assert wallet().next_nonce == 2
    book.settle()
    book.check(confirmed=operations)


def test_what_is_refused_is_left_out_of_the_places(book: Book) -> None:
    first, bad, last = book.borrow(), book.impossible_borrow(), book.borrow()
    driver.drive_once()
    found = {
        key: (state, place) for key, state, place in Operation.objects.values_list("key", "state", "position_in_bundle")
    }
    assert found == {
        first.key: (OperationState.BUNDLED, 0),
        bad.key: (OperationState.REFUSED, 0),
        last.key: (OperationState.BUNDLED, 1),
    }
    book.settle()
    book.check(confirmed=[first, last], not_done={OperationState.REFUSED: [bad]})


def test_no_more_bundles_are_in_flight_than_the_wallet_may_have(book: Book, settings: Settings) -> None:
    settings.CHAIN_OPERATIONS_PER_BUNDLE = 1
    operations = book.borrows(4)
    driver.drive_once()
    type(wallet()).objects.update(max_in_flight=2)
    book.settle()
    book.check(confirmed=operations)
    more = book.borrows(4)
    driver.drive_once()
    assert nonces() == [0, 1, 2, 3, 4, 5]
    assert Operation.objects.filter(state=OperationState.QUEUED).count() == 2
    driver.drive_once()
    assert len(nonces()) == 6
    book.settle(blocks=8)
    book.check(confirmed=[*operations, *more])


def test_a_bundle_that_reverts_as_a_whole_is_told_and_its_operations_are_queued_again(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    operation = book.borrow()
    driver.drive_once()
    raw = TransactionAttempt.objects.get().raw
    book.chain.rpc("anvil_dropAllTransactions")
    as_owner(book.chain, "0x8456cb59")  # pause()
    book.chain.rpc(SEND, raw)
    book.chain.mine()
    caplog.clear()
    driver.drive_once()
    landed = ChainTransaction.objects.get(nonce=0)
    assert landed.state == TransactionState.REVERTED
    assert Operation.objects.get().state == OperationState.QUEUED
    told = f"transaction {landed.mined_hash} reverted as a whole; its operations are queued again"
    assert [record.levelname for record in caplog.records if record.getMessage() == told] == ["ERROR"]
    as_owner(book.chain, "0x3f4ba83a")  # unpause()
    book.check(confirmed=[], not_done={OperationState.QUEUED: [operation]})


def test_a_bundle_that_succeeds_is_no_news_for_a_person(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_operation_that_needs_more_gas_than_a_bundle_has_is_refused_alone(book: Book, proxy: RpcProxy) -> None:
    good, heavy = book.borrow(), book.borrow()
    uid = heavy.uid[2:]

    def out_of_gas(params: list) -> str | None:
        return "execution reverted: out of gas" if uid in params[0].get("data", "") else None

    proxy.check("eth_call", out_of_gas)
    driver.drive_once()
    assert Operation.objects.get(pk=heavy.pk).reason == "needs more gas than a bundle has"
    book.settle()
    book.check(confirmed=[good], not_done={OperationState.REFUSED: [heavy]})


def test_where_the_market_is_above_the_cap_it_is_tried_again_after_a_while(
    book: Book, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    book.borrow()
    cap, engine.wallet.fee_cap_wei = engine.wallet.fee_cap_wei, 1
    for _ in range(2):
        assert send_queued(engine) == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"the base fee is above the cap of 1 wei of {engine.wallet.address}"
    ]
    engine.wallet.fee_cap_wei, engine.bundle_not_before = cap, 0.0  # the while is over
    assert send_queued(engine) == 1
    assert engine.bundle_not_before == 0.0
