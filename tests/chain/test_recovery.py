"""What a new driver does first about what the one before it left."""

import pytest

from chain.models import ChainTransaction, TransactionState
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.recovery import recover
from tests.chain.book import Book
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"


def test_what_was_stored_and_not_taken_yet_goes_out_again_at_once(book: Book, proxy: RpcProxy, engine: Engine) -> None:
    operation = book.borrow()
    proxy.refuse(SEND, "the flux capacitor is cold")
    send_queued(engine)
    assert ChainTransaction.objects.get().state == TransactionState.SIGNED
    before = proxy.received[SEND]

    recover(engine)

    assert proxy.received[SEND] == before + 1
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST
    book.track_blocks(engine, 2)
    book.check(confirmed=[operation])
    recover(engine)  # nothing is in flight any more
    assert proxy.received[SEND] == before + 1
