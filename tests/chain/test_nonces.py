"""When a wallet's counter stands too high, and how low it is put then."""

from types import SimpleNamespace
from typing import Any

import pytest

from audit.models import AuditEntry
from chain.models import ChainTransaction, PlatformWallet
from chain.settlement import nonces
from chain.settlement.engine import Engine
from chain.settlement.nonces import NonceCounts
from tests.chain.book import Book
from tests.support.rpc_proxy import RpcProxy


@pytest.mark.parametrize(
    ("final_block", "final", "used", "is_too_high"),
    [(10, 4, 4, True), (9, 4, 4, False), (8, 4, 4, False), (10, 5, 5, False), (10, 4, 5, False), (10, 0, 0, True)],
    ids=["a newer final block", "the same", "an older one", "all final", "an endpoint shows it used", "none used"],
)
def test_a_counter_is_too_high_where_a_newer_final_block_and_no_endpoint_shows_what_was_noted(
    final_block: int, final: int, used: int, is_too_high: bool
) -> None:
    engine: Any = SimpleNamespace(wallet=PlatformWallet(nonces_block=9, nonces_from=5, next_nonce=7))
    counts = NonceCounts(mined=final, used=used, final=final, final_block=final_block)
    assert nonces._is_too_high(engine, counts) is is_too_high


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("signed", "used", "final", "counter"),
    [([], 0, 0, 0), ([], 2, 1, 2), ([0, 1, 2], 1, 1, 3), ([8], 0, 0, 5)],
    ids=["nothing was used", "one is in the pool", "what we signed stays ours", "never raised"],
)
def test_a_counter_is_lowered_to_what_was_used_and_what_we_signed(
    engine: Engine, signed: list[int], used: int, final: int, counter: int
) -> None:
    PlatformWallet.objects.update(next_nonce=5, nonces_from=5, nonces_block=9)
    engine.wallet.refresh_from_db()
    for nonce in signed:
        ChainTransaction.objects.create(wallet=engine.wallet, nonce=nonce, gas_limit=1)
    nonces._lower(engine, NonceCounts(mined=used, used=used, final=final, final_block=12))
    lowered = PlatformWallet.objects.get()
    assert (lowered.next_nonce, lowered.nonces_from, lowered.nonces_block) == (counter, final, 12)
    assert engine.wallet.next_nonce == counter
    entry = AuditEntry.objects.get(action="settlement.counter_lowered")
    assert entry.before == {"nextNonce": 5, "noncesFrom": 5}
    assert entry.after == {"nextNonce": counter, "noncesFrom": final, "finalBlock": 12}


@pytest.mark.django_db(transaction=True)
def test_the_counter_is_checked_at_each_tick_while_nothing_may_be_sent_and_only_then(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    asked = proxy.received["eth_getTransactionCount"]
    book.track_blocks(engine, 1)
    assert proxy.received["eth_getTransactionCount"] == asked
    engine.suspended = "the chain's nonces are not known"
    book.track_blocks(engine, 1)
    assert proxy.received["eth_getTransactionCount"] > asked
    assert engine.suspended == ""
