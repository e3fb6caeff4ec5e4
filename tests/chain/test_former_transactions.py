"""An operation that left its transaction is not given up while a reorg may still let that transaction run it (M2)."""

import pytest

from chain import selectors
from chain.lending.encoding import Call, encode_call
from chain.models import ChainTransaction, Operation, OperationState, TransactionAttempt, TransactionState
from chain.operators import review
from chain.operators.review import DecisionRefused
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.settlement.reasons import Circumstances
from tests.chain.book import Book, wallet
from tests.support.actors import send_as, set_operator
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
PAUSE, UNPAUSE = "0x8456cb59", "0x3f4ba83a"


def as_owner(chain: Chain, data: str) -> None:
    send_as(chain, chain.addresses["deployer"], chain.addresses["executor"], data)


@pytest.fixture
def left(book: Book) -> Operation:
    """Queued again, for its transaction reverted in the newest block; the user's permission is gone since."""
    operation = book.borrow()
    driver.drive_once()
    raw = TransactionAttempt.objects.get().raw
    book.chain.rpc("anvil_dropAllTransactions")
    as_owner(book.chain, PAUSE)
    book.chain.rpc(SEND, raw)
    book.chain.mine()
    as_owner(book.chain, UNPAUSE)
    set_operator(book.chain, book.user, allowed=False)
    driver.drive_once()
    assert ChainTransaction.objects.get().state == TransactionState.REVERTED
    return operation


def state_of(operation: Operation) -> str:
    return Operation.objects.get(pk=operation.pk).state


def test_it_is_refused_only_when_the_block_of_that_transaction_is_final(book: Book, left: Operation) -> None:
    transaction = ChainTransaction.objects.get()
    assert state_of(left) == OperationState.QUEUED
    assert Operation.objects.get().former_transactions == [str(transaction.pk)]
    assert selectors.former_transactions_that_may_run(Operation.objects.get()) == [transaction]
    book.chain.mine()
    driver.drive_once()
    assert state_of(left) == OperationState.QUEUED
    book.finalize()
    driver.drive_once()  # learns what is final
    driver.drive_once()
    assert (wallet().final_block or 0) >= (transaction.block_number or 0)
    assert state_of(left) == OperationState.REFUSED
    book.check_nothing_moved()


def test_it_is_settled_by_that_transaction_where_a_reorg_lets_it_run_it(book: Book, left: Operation) -> None:
    book.chain.rpc("anvil_rollback", 4)  # neither pause nor revert happened, on the chain that stays
    book.chain.rpc("anvil_dropAllTransactions")
    set_operator(book.chain, book.user, allowed=False)
    book.chain.mine(4)
    driver.drive_once()
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST  # its bytes are out again
    assert state_of(left) == OperationState.QUEUED
    book.chain.rpc("anvil_dropAllTransactions")
    set_operator(book.chain, book.user, allowed=True)
    raw = TransactionAttempt.objects.get(transaction__nonce=0).raw
    book.chain.rpc(SEND, raw)
    book.chain.mine()
    for _ in range(4):
        driver.drive_once()
        book.chain.mine()
    book.check(confirmed=[left])
    assert Operation.objects.get().tx_hash == TransactionAttempt.objects.get(transaction__nonce=0).tx_hash


@pytest.mark.parametrize("state", [TransactionState.CANCELLED, TransactionState.NEEDS_REVIEW])
def test_a_transaction_whose_nonce_is_another_transactions_for_good_is_not_waited_for(
    book: Book, left: Operation, state: TransactionState
) -> None:
    ChainTransaction.objects.update(state=state, block_number=None, block_hash="")  # as the driver gives it up
    assert selectors.former_transactions_that_may_run(Operation.objects.get()) == []
    driver.drive_once()
    assert state_of(left) == OperationState.REFUSED


def test_others_do_not_wait_for_it(book: Book, left: Operation) -> None:
    balance = encode_call("balanceOf(address)", [book.user.wallet])
    other = book.enqueue([Call(book.chain.addresses["usdc"], 0, balance)], [])
    driver.drive_once()
    book.chain.mine()
    driver.drive_once()
    assert (state_of(left), state_of(other)) == (OperationState.QUEUED, OperationState.CONFIRMED)


def test_within_a_drivers_life_it_is_simulated_once_in_ten_blocks(
    book: Book, left: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    engine = driver._take_lease(None)
    assert engine is not None
    caplog.set_level("INFO", logger="chain.settlement.bundling")
    caplog.clear()
    for _ in range(21):
        book.track_blocks(engine, 1)
        send_queued(engine)
    told = [record.getMessage() for record in caplog.records if "is not refused" in record.message]
    assert len(told) == 3
    assert told[0].startswith(f"{left.key} stays queued: it would fail (")
    assert told[0].endswith("), and is not refused before nonce 0 is final")
    assert Circumstances.of_engine(engine).of_operation(Operation.objects.get()) == told[0].partition(": ")[2]
    engine.lease.release()


def test_a_person_cannot_declare_it_failed_before_that_transaction_is_final(book: Book, left: Operation) -> None:
    Operation.objects.update(state=OperationState.NEEDS_REVIEW, reason="somebody should look")
    engine = driver._take_lease(None)
    assert engine is not None
    early = review.gather_evidence(engine, left)
    assert (early.former_nonces, early.nonce_is_spent, early.may_be_queued) == ((0,), False, True)
    assert "  may be run after all by nonce 0" in early.lines()
    assert early.advice == "wait: its transaction may still be mined"
    with pytest.raises(DecisionRefused, match="may still be mined"):
        review.fail_operation(engine, early, actor="operator:x", reason="not wanted")
    assert state_of(left) == OperationState.NEEDS_REVIEW
    engine.lease.release()
    book.finalize()
    driver.drive_once()
    engine = driver._take_lease(None)
    assert engine is not None
    late = review.gather_evidence(engine, left)
    assert (late.former_nonces, late.nonce_is_spent) == ((), True)
    review.fail_operation(engine, late, actor="operator:x", reason="not wanted")
    assert state_of(left) == OperationState.FAILED
    engine.lease.release()


def test_a_person_who_queues_it_again_leaves_the_transaction_on_its_list(book: Book, left: Operation) -> None:
    first = ChainTransaction.objects.get()
    second = ChainTransaction.objects.create(
        wallet=wallet(), nonce=7, gas_limit=1, state=TransactionState.NEEDS_REVIEW, executor=left.executor
    )
    Operation.objects.update(state=OperationState.NEEDS_REVIEW, transaction=second)
    engine = driver._take_lease(None)
    assert engine is not None
    review.requeue_operation(engine, review.gather_evidence(engine, left), actor="operator:x")
    assert Operation.objects.get().former_transactions == [str(first.pk), str(second.pk)]
    assert selectors.former_transactions_that_may_run(Operation.objects.get()) == [
        first
    ]  # the other one's nonce is spent
    engine.lease.release()
