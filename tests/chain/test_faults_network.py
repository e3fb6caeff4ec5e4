"""F4 to F7, F15, F16: what happens between us and the node."""

import pytest
from pytest_django.fixtures import Settings

from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.rpc import clients
from chain.rpc.clients import ChainUnavailable, WrongChain
from chain.rpc.errors import SendClass
from chain.settlement import driver
from tests.chain.book import Book, nonces, wallet
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"


def test_f04_accepted_but_the_answer_is_lost(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.lose_answer(SEND)
    driver.drive_once()
    assert TransactionAttempt.objects.get().last_error_class == SendClass.UNKNOWN
    assert ChainTransaction.objects.get().state == TransactionState.SIGNED
    assert proxy.forwarded[SEND] == 1  # the client does not repeat it by itself
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert TransactionAttempt.objects.count() == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_f05_the_node_answers_with_a_bare_status(book: Book, proxy: RpcProxy, status: int) -> None:
    operation = book.borrow()
    proxy.answer_status(SEND, status)
    driver.drive_once()
    assert proxy.forwarded[SEND] == 0
    assert Operation.objects.get().state == OperationState.BUNDLED
    driver.drive_once()  # another driver's recovery sends the same bytes
    book.settle()
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.count() == 1


def test_f05_the_connection_is_reset(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.drop(SEND)
    driver.drive_once()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0]


def test_f05_the_chain_is_gone_and_comes_back(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.answer_status("eth_getBlockByNumber", 503, times=None)
    with pytest.raises(ChainUnavailable):
        driver.drive_once()
    assert Operation.objects.get().state == OperationState.QUEUED
    proxy.heal()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def test_f06_nonce_too_low_and_ours_was_mined(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.lose_answer(SEND)
    driver.drive_once()
    book.chain.mine()
    proxy.rewrite("eth_getTransactionReceipt", lambda _: None, times=2)
    driver.drive_once()  # recovery finds it mined in the count only, and leaves it to the tick
    proxy.refuse(SEND, "nonce too low: next nonce 1, tx nonce 0", times=None)
    for _ in range(3):
        book.chain.mine()
        driver.drive_once()
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert TransactionAttempt.objects.count() == 1


def test_f07_the_receipt_is_null_n_times_after_mining(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    driver.drive_once()
    proxy.rewrite("eth_getTransactionReceipt", lambda _: None, times=4)
    for _ in range(4):
        book.chain.mine()
        driver.drive_once()
        assert Operation.objects.get().state == OperationState.BUNDLED
    driver.drive_once()
    book.check(confirmed=[operation])
    assert nonces() == [0]
    assert wallet().status == WalletStatus.ACTIVE


def test_f15_an_unknown_error_text_is_no_failure(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "the flux capacitor is cold")
    driver.drive_once()
    attempt = TransactionAttempt.objects.get()
    assert (attempt.last_error_class, attempt.last_error) == (SendClass.UNKNOWN, "the flux capacitor is cold")
    assert Operation.objects.get().state == OperationState.BUNDLED
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.get().tx_hash == attempt.tx_hash


def test_f16_a_wrong_chain_is_neither_read_nor_signed_for(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.rewrite("eth_chainId", lambda _: "0x1", times=None)
    with pytest.raises(WrongChain):
        driver.drive_once()
    assert set(proxy.received) == {"eth_chainId"}
    assert TransactionAttempt.objects.count() == 0
    book.check_nothing_moved()
    proxy.heal()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])


def test_a_send_fails_over_to_the_second_endpoint_once(book: Book, proxy: RpcProxy, settings: Settings) -> None:
    with RpcProxy(book.chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        operation = book.borrow()
        proxy.answer_status(SEND, 503)
        driver.drive_once()
        assert (proxy.forwarded[SEND], second.forwarded[SEND]) == (0, 1)
        book.settle()
        book.check(confirmed=[operation])
