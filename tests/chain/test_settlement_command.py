"""The operator's command: it shows what it saw, does what is safe, refuses what is not, and says who did it."""

import io

import pytest
from django.core.management import CommandError

from audit.models import AuditEntry
from chain.models import (
    AttemptKind,
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)
from chain.settlement import driver
from chain.settlement.bundling import send_queued
from chain.wallet import lease
from chain.wallet.lease import LeaseLost
from tests.chain.book import Book, nonces, wallet
from tests.support.commands import type_command
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
NOTHING = "0x" + "00" * 32


def settlement(*arguments: str) -> str:
    out = io.StringIO()
    type_command("settlement", *arguments, stdout=out)
    return out.getvalue()


def actions() -> list[str]:
    """What people did, by the command or by the service alone."""
    found = AuditEntry.objects.filter(action__startswith="settlement.").exclude(actor__startswith="system")
    return list(found.order_by("timestamp").values_list("action", flat=True))


def lost_nonce(book: Book, proxy: RpcProxy) -> Operation:
    """An operation whose nonce somebody else spent: NEEDS_REVIEW, the wallet FROZEN."""
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()
    book.chain.rpc("anvil_setNonce", book.chain.addresses["operator"], "0x1")
    book.finalize()
    driver.drive_once()
    assert wallet().status == WalletStatus.FROZEN
    return operation


def test_status_shows_both_sides_and_changes_nothing(book: Book, proxy: RpcProxy) -> None:
    book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()
    before = list(Operation.objects.values()), list(PlatformWallet.objects.values())
    shown = settlement("status")
    attempt = TransactionAttempt.objects.get()
    assert f"wallet {wallet().address} on chain 5003: ACTIVE" in shown
    assert "database: next nonce 1" in shown
    assert "nonces used: 0 latest, 0 pending, 0 finalized" in shown
    assert "working, this wallet may send bundles" in shown
    assert "operations: 1 BUNDLED" in shown
    assert f"nonce 0 BROADCAST: PAYLOAD {attempt.tx_hash} sent 1 times, unknown to the chain" in shown
    assert (list(Operation.objects.values()), list(PlatformWallet.objects.values())) == before


def test_status_still_works_while_the_chain_does_not_answer(book: Book, proxy: RpcProxy) -> None:
    driver.drive_once()
    proxy.answer_status("eth_blockNumber", 503, times=None)
    assert "chain: does not answer (The chain cannot be reached)" in settlement("status")


def test_nothing_is_done_without_a_yes(book: Book) -> None:
    driver.drive_once()
    with pytest.raises(CommandError, match="Say --yes"):
        settlement("freeze", "a drill")
    assert wallet().status == WalletStatus.ACTIVE
    assert actions() == []


def test_a_frozen_wallet_sends_nothing_until_it_is_unfrozen(book: Book) -> None:
    driver.drive_once()
    settlement("freeze", "a drill", "--yes")
    operation = book.borrow()
    driver.drive_once()
    assert (wallet().status, wallet().status_reason) == (WalletStatus.FROZEN, "a drill")
    assert Operation.objects.get().state == OperationState.QUEUED
    settlement("unfreeze", "--yes")
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert actions() == ["settlement.frozen", "settlement.unfrozen"]


def test_a_running_driver_sends_nothing_more_once_it_is_frozen(book: Book) -> None:
    engine = driver._take_lease(None)
    assert engine is not None
    engine.read_head()
    settlement("freeze", "a drill", "--yes")
    book.borrow()
    with pytest.raises(LeaseLost):
        send_queued(engine)
    assert ChainTransaction.objects.count() == 0


def test_it_is_not_unfrozen_while_the_executor_is_paused(book: Book) -> None:
    driver.drive_once()
    settlement("freeze", "a drill", "--yes")
    deployer, executor = book.chain.addresses["deployer"], book.chain.addresses["executor"]
    book.chain.rpc("anvil_impersonateAccount", deployer)
    book.chain.rpc("eth_sendTransaction", {"from": deployer, "to": executor, "data": "0x8456cb59", "gas": "0x30d40"})
    book.chain.mine()
    assert "! the executor is paused: its owner must unpause it" in settlement("status")
    with pytest.raises(CommandError, match="refused: the executor would refuse every bundle"):
        settlement("unfreeze", "--yes")
    assert wallet().status == WalletStatus.FROZEN


def test_resend_sends_the_same_bytes_and_takes_the_lease_from_a_running_driver(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()
    running = lease.take_lease(wallet().pk)
    assert running is not None
    assert "sent 2 times" in settlement("resend", "--nonce", "0", "--yes")
    assert proxy.forwarded[SEND] == 1
    with pytest.raises(LeaseLost):
        running.renew()
    book.settle()
    book.check(confirmed=[operation])
    assert actions() == ["settlement.resent"]


def test_noop_takes_the_nonce_and_the_operations_are_done_under_another(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()
    settlement("noop", "0", "--yes")
    book.settle()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert [row.state for row in ChainTransaction.objects.order_by("nonce")] == ["CANCELLED", "CONFIRMED"]
    assert TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).count() == 1
    assert actions() == ["settlement.noop"]


def test_noop_is_refused_for_a_nonce_that_is_spent(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.chain.mine()
    with pytest.raises(CommandError, match="refused: nonce 0 is spent already"):
        settlement("noop", "0", "--yes")
    driver.drive_once()
    with pytest.raises(CommandError, match="refused: nonce 0 is CONFIRMED"):
        settlement("noop", "0", "--yes")
    with pytest.raises(CommandError, match="refused: the database has no such nonce"):
        settlement("noop", "7", "--yes")
    book.check(confirmed=[operation])
    assert TransactionAttempt.objects.count() == 1


def test_review_explains_and_requeues_what_the_chain_never_executed(book: Book, proxy: RpcProxy) -> None:
    operation = lost_nonce(book, proxy)
    shown = settlement("review")
    assert f"test {operation.key}: NEEDS_REVIEW" in shown
    assert "executor says executed: no at the newest block, no at the finalized one" in shown
    assert "advice: requeue: the chain never executed it, and its nonce is gone" in shown
    with pytest.raises(CommandError, match="refused: no log of its execution was found"):
        settlement("review", operation.key, "--adopt", "--yes")
    with pytest.raises(CommandError, match="one operation at a time"):
        settlement("review", "--requeue", "--yes")
    settlement("review", operation.key, "--requeue", "--yes")
    settlement("unfreeze", "--yes")
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert nonces() == [0, 1]
    assert actions() == ["settlement.requeued", "settlement.unfrozen"]


def test_review_declares_failed_what_the_chain_never_executed(book: Book, proxy: RpcProxy) -> None:
    operation = lost_nonce(book, proxy)
    settlement("review", operation.key, "--fail", "the partner does not want it any more", "--yes")
    book.check(confirmed=[], not_done={OperationState.FAILED: [operation]})
    assert Operation.objects.get().reason == "the partner does not want it any more"
    entry = AuditEntry.objects.get(action="settlement.failed")
    assert entry.after is not None
    assert any("executor says executed: no" in line for line in entry.after["evidence"])


def test_review_never_declares_failed_or_sends_again_what_the_chain_executed(book: Book) -> None:
    operation = book.borrow()
    Operation.objects.update(effect=[{**operation.effect[0], "data": f"0x{1:064x}"}])
    driver.drive_once()
    book.settle()
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    assert "executor says executed: yes" in settlement("review", operation.key)
    for decision in (["--fail", "it looks lost"], ["--requeue"]):
        with pytest.raises(CommandError, match="refused: the chain executed it: adopt it"):
            settlement("review", operation.key, *decision, "--yes")
    with pytest.raises(CommandError, match="read its logs, then say --without-proof"):
        settlement("review", operation.key, "--adopt", "--yes")
    settlement("review", operation.key, "--adopt", "--without-proof", "--yes")
    book.check(confirmed=[operation])
    logs = Operation.objects.get().outcome_logs or []
    assert len(logs) == 5  # all of its logs: what is expected and missing cannot be picked out
    assert actions() == ["settlement.adopted"]


def test_review_refuses_while_its_transaction_may_still_be_mined(book: Book, proxy: RpcProxy) -> None:
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING, times=None)
    driver.drive_once()
    Operation.objects.update(state=OperationState.NEEDS_REVIEW)
    for decision, why in ((["--fail", "gone"], "may still be mined"), (["--requeue"], "still under way")):
        with pytest.raises(CommandError, match=why):
            settlement("review", operation.key, *decision, "--yes")
    assert "advice: wait: its transaction may still be mined" in settlement("review", operation.key)
    assert ChainTransaction.objects.get().state == TransactionState.BROADCAST


def test_an_incident_is_shown_until_somebody_read_it(book: Book) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.act_on_what_is_final()
    book.chain.rpc("anvil_rollback", 1)
    book.chain.rpc("anvil_dropAllTransactions")
    book.chain.mine(2)
    driver.drive_once()
    shown = settlement("status")
    assert f"a reorg undid 1 settled operations, which were reopened: {operation.key}" in shown
    assert "! 1 operations were undone by a reorg and their owners have not acted on that yet" in shown
    settlement("review", "--incident-seen", "--yes")
    assert "incident" not in settlement("status")
    assert actions() == ["settlement.incident_seen"]
    book.settle()
    book.check(confirmed=[operation])


def test_without_the_chain_nothing_is_decided(book: Book, proxy: RpcProxy) -> None:
    operation = lost_nonce(book, proxy)
    proxy.answer_status("eth_getBlockByNumber", 503, times=None)
    with pytest.raises(CommandError, match="the chain does not answer, nothing was done"):
        settlement("review", operation.key, "--requeue", "--yes")
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    assert wallet().lease_until is None
