"""What is noted of a send: of the attempts that were sent, and of no other; and when one goes out again."""

import pytest

from chain.models import ChainTransaction, PlatformWallet, TransactionAttempt, TransactionState
from chain.rpc.errors import SendClass
from chain.settlement import tracking
from chain.settlement.bundling import send_queued
from chain.settlement.engine import Engine
from chain.settlement.sending import resend_transactions
from tests.chain.book import Book
from tests.support.rpc_proxy import RpcProxy

SEND = "eth_sendRawTransaction"


def noted(attempt: TransactionAttempt) -> tuple[int, str, str]:
    found = TransactionAttempt.objects.get(pk=attempt.pk)
    return found.send_count, found.last_error_class, found.last_error


@pytest.mark.django_db(transaction=True)
def test_the_last_refusal_is_forgotten_once_a_node_takes_it_and_no_other_attempt_is_touched(
    book: Book, proxy: RpcProxy, engine: Engine
) -> None:
    book.borrow()
    proxy.refuse(SEND, "the flux capacitor is cold")
    send_queued(engine)
    transaction = ChainTransaction.objects.get()
    [attempt] = transaction.attempts.all()
    elsewhere = ChainTransaction.objects.create(wallet=engine.wallet, nonce=7, gas_limit=1, last_sent_block=3)
    other = elsewhere.attempts.create(
        raw="0x07",
        tx_hash="0x07",
        max_fee_per_gas_wei=1,
        max_priority_fee_per_gas_wei=1,
        send_count=5,
        last_error="too warm",
        last_error_class=SendClass.UNKNOWN,
    )
    assert noted(attempt) == (1, SendClass.UNKNOWN, "the flux capacitor is cold")
    assert ChainTransaction.objects.get(pk=transaction.pk).state == TransactionState.SIGNED

    resend_transactions(engine, [transaction])

    assert noted(attempt) == (2, "", "")
    assert ChainTransaction.objects.get(pk=transaction.pk).state == TransactionState.BROADCAST
    assert noted(other) == (5, SendClass.UNKNOWN, "too warm")
    elsewhere.refresh_from_db()
    assert (elsewhere.state, elsewhere.last_sent_block, elsewhere.last_bump_block) == (TransactionState.SIGNED, 3, None)


@pytest.mark.parametrize(
    ("state", "last_sent", "wanted"),
    [
        ("SIGNED", 9, True),
        ("SIGNED", 10, False),
        ("BROADCAST", 7, True),
        ("BROADCAST", 8, False),
        ("SIGNED", None, True),
        ("BROADCAST", None, True),
    ],
)
def test_it_goes_out_again_after_three_blocks_or_one_where_no_node_took_it_yet(
    state: str, last_sent: int | None, wanted: bool
) -> None:
    assert tracking._wants_resend(ChainTransaction(state=state, last_sent_block=last_sent), head=10) is wanted


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "refusal", "last_bump", "wanted"),
    [
        ("BROADCAST", "", 5, True),
        ("BROADCAST", "", 6, False),
        ("BROADCAST", "", None, True),
        ("BROADCAST", "UNDERPRICED", 9, True),
        ("BROADCAST", "UNDERPRICED", 10, False),
        ("SIGNED", "", None, False),
        ("SIGNED", "UNDERPRICED", 9, True),
        ("SIGNED", "UNDERPRICED", 10, False),
        ("SIGNED", "UNKNOWN", 1, False),
    ],
)
def test_it_is_bumped_after_five_blocks_or_one_where_a_node_wants_more(
    state: str, refusal: str, last_bump: int | None, wanted: bool
) -> None:
    transaction = sent_once(state, refusal)
    transaction.last_bump_block = last_bump
    assert tracking._wants_bump(transaction, head=10) is wanted


def sent_once(state: str, refusal: str) -> ChainTransaction:
    """A transaction whose only attempt got this answer."""
    wallet = PlatformWallet.objects.create(address="0x" + "a1" * 20, chain_id=5003, fee_cap_wei=1)
    transaction = ChainTransaction.objects.create(wallet=wallet, nonce=0, gas_limit=1, state=state)
    fees = {"max_fee_per_gas_wei": 1, "max_priority_fee_per_gas_wei": 1}
    transaction.attempts.create(raw="0x01", tx_hash="0x01", last_error_class=refusal, **fees)
    return transaction
