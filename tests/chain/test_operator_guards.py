"""What an operator decides holds only for what they were shown: whatever came after that is told, and nothing is done.

Between the screen and the yes anything can happen; `meanwhile` is where it does.
"""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError

from audit.models import AuditEntry
from authority.approvals import deciding
from authority.approvals.outdated import ApprovalOutdated
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval
from authority.roles import Role
from chain import services
from chain.management.commands.settlement import Command
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
from chain.operators import operating, review
from chain.operators.inspection import inspect_wallet
from chain.operators.review import DecisionRefused
from chain.rpc import clients
from chain.settlement import driver
from chain.settlement.engine import Engine
from chain.settlement.restoring import SCAN_REASON
from chain.wallet import lease
from chain.wallet.freezing import freeze_wallet, raise_incident
from partner_platform.core.errors import Unavailable
from tests.chain.book import Book, wallet
from tests.chain.test_faults_submission import backup
from tests.chain.test_settlement_command import actions, lost_nonce, settlement
from tests.support.approvals import acting, person
from tests.support.commands import type_command
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
NOTHING = "0x" + "00" * 32
MISMATCH = "reconciliation: account usdc is 5, adds up to 4"
Meanwhile = Callable[[Callable[[], object]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Let something happen while the operator reads; then they say yes."""

    def set_up(act: Callable[[], object]) -> None:
        monkeypatch.setattr(Command, "confirm", lambda *_, **__: act())

    return set_up


def report() -> Any:
    return inspect_wallet(clients.get_client(), wallet())


# --- freeze and unfreeze ---


def test_a_freeze_that_came_after_the_screen_is_not_wiped(book: Book) -> None:
    driver.drive_once()
    operating.freeze_by_operator(wallet(), actor="operator:x", reason="maintenance")
    shown = report()
    services.freeze_wallets(reason=MISMATCH)
    with pytest.raises(DecisionRefused, match=rf"changed since it was shown: it is FROZEN, because .* \| {MISMATCH}"):
        operating.unfreeze_by_operator(shown, actor="operator:x")
    assert (wallet().status, wallet().status_reason) == (WalletStatus.FROZEN, f"maintenance | {MISMATCH}")
    assert actions() == ["settlement.frozen"]
    operating.unfreeze_by_operator(report(), actor="operator:x")
    assert (wallet().status, wallet().status_reason) == (WalletStatus.ACTIVE, "")


def test_a_reason_that_somebody_wrote_past_the_count_is_not_wiped_either(book: Book) -> None:
    driver.drive_once()
    operating.freeze_by_operator(wallet(), actor="operator:x", reason="maintenance")
    shown = report()
    PlatformWallet.objects.update(status_reason=MISMATCH)
    with pytest.raises(DecisionRefused):
        operating.unfreeze_by_operator(shown, actor="operator:x")
    assert wallet().status == WalletStatus.FROZEN


def test_one_frozen_anew_for_the_very_same_reason_is_another_freeze(book: Book) -> None:
    """A count is compared, neither a text nor a time."""
    driver.drive_once()
    operating.freeze_by_operator(wallet(), actor="operator:x", reason="maintenance")
    shown = report()
    operating.unfreeze_by_operator(report(), actor="operator:y")
    operating.freeze_by_operator(wallet(), actor="operator:y", reason="maintenance")
    with pytest.raises(DecisionRefused, match="it is FROZEN, because maintenance"):
        operating.unfreeze_by_operator(shown, actor="operator:x")
    assert wallet().status == WalletStatus.FROZEN


def test_an_unfrozen_wallets_driver_is_woken_and_no_other_wallet_works_again(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.drive_once()
    woken: list[str] = []
    monkeypatch.setattr(operating, "wake_driver", lambda: woken.append(wallet_states()[0][0]))
    bystander = PlatformWallet.objects.create(address="0x" + "a1" * 20, chain_id=wallet().chain_id, fee_cap_wei=1)
    services.freeze_wallets(reason=MISMATCH)
    shown = inspect_wallet(clients.get_client(), PlatformWallet.objects.exclude(pk=bystander.pk).get())
    operating.unfreeze_by_operator(shown, actor="operator:x")
    assert wallet_states() == [("ACTIVE", ""), ("FROZEN", MISMATCH)]
    assert woken == ["ACTIVE"]  # it is committed by then
    with pytest.raises(DecisionRefused, match="changed since it was shown: it is ACTIVE"):
        operating.unfreeze_by_operator(shown, actor="operator:x")
    assert woken == ["ACTIVE"]


def wallet_states() -> list[tuple[str, str]]:
    return list(PlatformWallet.objects.order_by("created_at").values_list("status", "status_reason"))


def test_the_command_refuses_what_changed_while_it_asked(book: Book, meanwhile: Meanwhile) -> None:
    driver.drive_once()
    settlement("freeze", "maintenance", "--yes")
    meanwhile(lambda: services.freeze_wallets(reason=MISMATCH))
    with pytest.raises(CommandError, match="refused: the wallet changed since it was shown"):
        settlement("unfreeze")
    assert wallet().status == WalletStatus.FROZEN


def test_a_finding_told_every_hour_is_no_news(book: Book) -> None:
    driver.drive_once()
    services.freeze_wallets(reason=MISMATCH)
    shown = report()
    assert services.freeze_wallets(reason=MISMATCH) == 0
    operating.unfreeze_by_operator(shown, actor="operator:x")
    assert wallet().status == WalletStatus.ACTIVE


def test_what_the_driver_freezes_for_stands_beside_what_an_operator_did(book: Book, engine: Engine) -> None:
    operating.freeze_by_operator(wallet(), actor="operator:x", reason="maintenance")
    engine.freeze("nonce 5 was spent by a transaction that is not ours")
    expected = "maintenance | nonce 5 was spent by a transaction that is not ours"
    assert (wallet().status_reason, engine.wallet.status_reason) == (expected, expected)
    operating.freeze_by_operator(wallet(), actor="operator:y", reason="and I look")
    assert wallet().status_reason == f"{expected} | and I look"


def test_each_change_of_status_or_reason_is_counted(book: Book, engine: Engine) -> None:
    def counted(act: Callable[[], object]) -> int:
        before = wallet().status_changes
        act()
        return wallet().status_changes - before

    active, paused, frozen = WalletStatus.ACTIVE, WalletStatus.PAUSED, WalletStatus.FROZEN
    assert counted(lambda: engine.set_status(paused, "no gas money", from_states=(active,))) == 1
    assert counted(lambda: engine.set_status(paused, "no gas money", from_states=(active,))) == 0
    assert counted(lambda: engine.set_status(active, from_states=(paused,))) == 1
    assert counted(lambda: engine.freeze("it refuses")) == 1
    assert counted(lambda: services.freeze_wallets(reason=MISMATCH)) == 1
    assert counted(lambda: operating.freeze_by_operator(wallet(), actor="operator:x", reason="I look")) == 1
    assert counted(lambda: operating.unfreeze_by_operator(report(), actor="operator:x")) == 1
    assert counted(lambda: services.freeze_wallets(reason=MISMATCH)) == 1
    assert wallet().status == frozen
    assert counted(lambda: raise_incident(wallet().pk, "a reorg undid 1 settled operations")) == 1


def test_a_scan_after_a_restore_leaves_an_operators_freeze(book: Book) -> None:
    driver.drive_once()
    before = backup()
    book.borrow()
    driver.drive_once()
    book.settle()
    book.finalize()
    before.restore()
    PlatformWallet.objects.update(status=WalletStatus.FROZEN, status_reason="maintenance")
    Operation.objects.all().delete()
    lost = driver.drive_once()
    assert lost.bundles == 0
    assert wallet().status == WalletStatus.FROZEN
    assert wallet().status_reason.startswith("maintenance | the chain executed 1 operations that the database does not")
    assert SCAN_REASON not in wallet().status_reason


def test_a_scan_that_finds_nothing_wrong_lets_go_of_its_own_freeze_only(book: Book) -> None:
    driver.drive_once()
    operation = book.borrow()
    before = backup()
    driver.drive_once()
    book.settle()
    book.finalize()
    before.restore()
    PlatformWallet.objects.update(status=WalletStatus.FROZEN, status_reason="maintenance")
    driver.drive_once()
    assert (wallet().status, wallet().status_reason) == (WalletStatus.FROZEN, "maintenance")
    assert not wallet().scan_pending
    book.check(confirmed=[operation])


def test_a_wallet_whose_scan_began_after_the_screen_is_not_unfrozen(book: Book) -> None:
    driver.drive_once()
    operating.freeze_by_operator(wallet(), actor="operator:x", reason="maintenance")
    shown = report()
    PlatformWallet.objects.update(scan_pending=True)
    with pytest.raises(DecisionRefused):
        operating.unfreeze_by_operator(shown, actor="operator:x")
    assert wallet().status == WalletStatus.FROZEN


# --- incidents ---


def test_an_incident_that_came_after_the_screen_stays(book: Book) -> None:
    driver.drive_once()
    raise_incident(wallet().pk, "a reorg undid 1 settled operations: a")
    shown = report()
    raise_incident(wallet().pk, "a reorg undid 1 settled operations: b")
    with pytest.raises(DecisionRefused, match=r"incident: a reorg undid 1 settled operations: a \| a reorg undid"):
        operating.incident_seen(shown, actor="operator:x")
    assert wallet().incident == "a reorg undid 1 settled operations: a | a reorg undid 1 settled operations: b"
    operating.incident_seen(report(), actor="operator:x")
    assert (wallet().incident, wallet().incident_at) == ("", None)


def test_the_same_incident_once_more_is_another_one(book: Book) -> None:
    driver.drive_once()
    raise_incident(wallet().pk, "a reorg undid 1 settled operations: a")
    shown = report()
    raise_incident(wallet().pk, "a reorg undid 1 settled operations: a")
    with pytest.raises(DecisionRefused):
        operating.incident_seen(shown, actor="operator:x")
    assert wallet().incident == "a reorg undid 1 settled operations: a"


def test_where_there_is_no_incident_nothing_is_noted(book: Book) -> None:
    driver.drive_once()
    with pytest.raises(CommandError, match="refused: there is no incident"):
        settlement("review", "--incident-seen", "--yes")
    assert actions() == []


# --- decisions about operations ---


@pytest.mark.parametrize("decision", [["--fail", "not wanted"], ["--requeue"]])
def test_a_decision_about_what_another_operator_decided_meanwhile_is_refused(
    book: Book, proxy: RpcProxy, meanwhile: Meanwhile, decision: list[str]
) -> None:
    """Requeued by somebody else, it was sent, and needs review again: same state, another transaction."""
    operation = lost_nonce(book, proxy)
    other = ChainTransaction.objects.create(
        wallet=wallet(), nonce=7, gas_limit=1, state=TransactionState.NEEDS_REVIEW, note="the second time"
    )
    meanwhile(lambda: Operation.objects.update(transaction=other))
    with pytest.raises(CommandError, match=r"it is not as it was shown any more\. Look again:\n.*NEEDS_REVIEW"):
        settlement("review", operation.key, *decision)
    row = Operation.objects.get()
    assert (row.state, row.transaction_id) == (OperationState.NEEDS_REVIEW, other.pk)
    assert actions() == []


def test_a_decision_is_refused_where_the_chain_went_on(book: Book, meanwhile: Meanwhile) -> None:
    """A reorg took the execution away that was to be adopted."""
    operation = book.borrow()
    Operation.objects.update(effect=[{**operation.effect[0], "data": f"0x{1:064x}"}])
    driver.drive_once()
    book.settle()
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW

    def reorg() -> None:
        book.chain.rpc("anvil_rollback", 1)
        book.chain.rpc("anvil_dropAllTransactions")
        book.chain.mine(2)

    meanwhile(reorg)
    with pytest.raises(CommandError, match="refused: it is not as it was shown any more"):
        settlement("review", operation.key, "--adopt", "--without-proof")
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    assert actions() == []


def test_a_person_may_take_their_time_while_a_driver_runs(book: Book, proxy: RpcProxy, meanwhile: Meanwhile) -> None:
    operation = lost_nonce(book, proxy)
    meanwhile(driver.drive_once)
    settlement("review", operation.key, "--requeue")
    assert Operation.objects.get().state == OperationState.QUEUED
    assert actions() == ["settlement.requeued"]


@pytest.mark.parametrize("decide", ["fail", "requeue"])
@pytest.mark.parametrize("change", ["attempt", "transaction's state", "reason", "acknowledged elsewhere"])
def test_a_decision_looks_again_in_its_own_transaction(
    book: Book, proxy: RpcProxy, engine: Engine, decide: str, change: str
) -> None:
    engine.lease.release()
    operation = lost_nonce(book, proxy)
    with operating.operator_lease(clients.get_client(), wallet()) as wheel:
        evidence = review.gather_evidence(wheel, operation)
        assert evidence.transaction is not None
        transaction = evidence.transaction
        changes: dict[str, Callable[[], object]] = {
            "attempt": lambda: TransactionAttempt.objects.create(
                transaction=transaction,
                raw="0x",
                tx_hash=NOTHING,
                max_fee_per_gas_wei=1,
                max_priority_fee_per_gas_wei=1,
            ),
            "transaction's state": lambda: ChainTransaction.objects.update(state=TransactionState.CANCELLED),
            "reason": lambda: Operation.objects.update(reason="for another reason"),
            "acknowledged elsewhere": lambda: Operation.objects.update(state=OperationState.CONFIRMED),
        }
        changes[change]()
        with pytest.raises(DecisionRefused, match="it moved while it was looked at"):
            if decide == "fail":
                review.fail_operation(wheel, evidence, actor="operator:x", reason="not wanted")
            else:
                review.requeue_operation(wheel, evidence, actor="operator:x")
    assert Operation.objects.get().state in (OperationState.NEEDS_REVIEW, OperationState.CONFIRMED)
    assert actions() == []


def test_evidence_is_read_anew_and_not_from_what_was_passed(book: Book, proxy: RpcProxy) -> None:
    operation = lost_nonce(book, proxy)
    assert operation.state == OperationState.QUEUED  # as it was when it was accepted
    with operating.operator_lease(clients.get_client(), wallet()) as wheel:
        assert review.gather_evidence(wheel, operation).operation.state == OperationState.NEEDS_REVIEW


# --- noop and resend ---


@pytest.fixture
def under_way(book: Book, proxy: RpcProxy) -> Operation:
    """An operation whose transaction no node has."""
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()
    return operation


def bump() -> None:
    """As a driver does: one attempt more."""
    first = TransactionAttempt.objects.get()
    TransactionAttempt.objects.create(
        transaction=first.transaction,
        raw=first.raw,
        tx_hash=NOTHING,
        max_fee_per_gas_wei=first.max_fee_per_gas_wei * 2,
        max_priority_fee_per_gas_wei=first.max_priority_fee_per_gas_wei * 2,
    )


@pytest.mark.parametrize("action", [("noop", "0"), ("resend", "--nonce", "0")])
def test_a_transaction_with_one_attempt_more_than_was_shown_is_left_alone(
    under_way: Operation, proxy: RpcProxy, meanwhile: Meanwhile, action: tuple[str, ...]
) -> None:
    sent = proxy.received[SEND]
    meanwhile(bump)
    with pytest.raises(CommandError, match="refused: nonce 0 changed since it was shown: it is BROADCAST with 2 att"):
        settlement(*action)
    assert not TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).exists()
    assert proxy.received[SEND] == sent
    assert actions() == []


@pytest.mark.parametrize("action", [("noop", "0"), ("resend", "--nonce", "0")])
def test_a_transaction_that_was_mined_while_it_was_asked_is_left_alone(
    book: Book, under_way: Operation, meanwhile: Meanwhile, action: tuple[str, ...]
) -> None:
    def mined() -> None:
        book.chain.rpc(SEND, TransactionAttempt.objects.get().raw)
        book.settle()

    meanwhile(mined)
    with pytest.raises(CommandError, match="refused: nonce 0 changed since it was shown: it is CONFIRMED"):
        settlement(*action)
    book.check(confirmed=[under_way])
    assert actions() == []


def test_the_transaction_is_shown_before_a_noop_takes_its_nonce(under_way: Operation) -> None:
    out = io.StringIO()
    type_command("settlement", "noop", "0", "--yes", stdout=out)
    attempt = TransactionAttempt.objects.get(kind=AttemptKind.PAYLOAD)
    assert f"nonce 0 BROADCAST: PAYLOAD {attempt.tx_hash} sent 1 times\n" in out.getvalue()


def test_a_noop_takes_a_nonce_of_which_no_node_says_that_it_is_spent(under_way: Operation, proxy: RpcProxy) -> None:
    engine = driver._take_lease(None)
    assert engine is not None
    transaction = ChainTransaction.objects.prefetch_related("attempts").get()
    proxy.refuse("eth_getTransactionCount", "not today", times=None)
    operating.send_noop_by_operator(engine, transaction, actor="operator:test")
    assert TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).count() == 1


def test_who_loses_the_lease_to_another_operator_is_told_that_nothing_was_done(
    under_way: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    noop = operating.send_noop_by_operator

    def overtaken(engine: Engine, transaction: ChainTransaction, *, actor: str) -> None:
        lease.take_lease(wallet().pk, by_force=True)
        noop(engine, transaction, actor=actor)

    monkeypatch.setattr(operating, "send_noop_by_operator", overtaken)
    with pytest.raises(CommandError, match="another driver took the lease"):
        settlement("noop", "0", "--yes")
    assert TransactionAttempt.objects.count() == 1


def test_freezing_the_same_wallet_at_once_loses_no_reason(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another freeze commits between the reading and the update."""
    driver.drive_once()
    mine, real, others = wallet().pk, PlatformWallet.objects.get, ["the other's"]

    def get(**filters: Any) -> PlatformWallet:
        row = real(**filters)
        if others:
            assert freeze_wallet(row.pk, others.pop())
        return row

    monkeypatch.setattr(PlatformWallet.objects, "get", get)
    assert freeze_wallet(mine, "mine")
    monkeypatch.undo()
    assert (wallet().status_reason, wallet().status_changes) == ("the other's | mine", 2)


@pytest.mark.parametrize("decide", ["adopt", "fail", "requeue"])
def test_a_decision_about_what_needs_no_review_is_refused_with_its_state(book: Book, decide: str) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    with operating.operator_lease(clients.get_client(), wallet()) as wheel:
        evidence = review.gather_evidence(wheel, operation)
        decisions: dict[str, Callable[[], object]] = {
            "adopt": lambda: review.adopt_operation(wheel, evidence, actor="operator:x"),
            "fail": lambda: review.fail_operation(wheel, evidence, actor="operator:x", reason="not wanted"),
            "requeue": lambda: review.requeue_operation(wheel, evidence, actor="operator:x"),
        }
        with pytest.raises(DecisionRefused, match="it is CONFIRMED: there is nothing to decide"):
            decisions[decide]()
    book.check(confirmed=[operation])
    assert actions() == []


# --- a second person ---


def frozen_and_asked_for(settings: Any) -> Approval:
    """A wallet that is frozen for a drill, and what a member of staff asks for."""
    settings.APPROVALS = "required"
    driver.drive_once()
    operating.freeze_by_operator(wallet(), actor=acting(person("oscar", Role.OPERATOR)), reason="a drill")
    with pytest.raises(WaitsForApproval):
        operating.unfreeze_by_operator(report(), actor=acting(person("olga", Role.OPERATOR)))
    assert wallet().status == WalletStatus.FROZEN
    return Approval.objects.get()


def test_a_freeze_does_not_wait_and_an_unfreeze_is_made_once_a_second_operator_approves(
    book: Book, settings: Any
) -> None:
    row = frozen_and_asked_for(settings)
    assert row.before == {"status": "FROZEN", "reason": "a drill", "incident": ""}
    assert row.impact == "0 queued operations go out at once"
    deciding.approve(approval_id=str(row.pk), actor=acting(person("otto", Role.OPERATOR)), reason="the drill is over")
    assert wallet().status == WalletStatus.ACTIVE
    done = AuditEntry.objects.filter(action__startswith="settlement.").values_list("actor", "action")
    assert set(done) == {("staff:oscar", "settlement.frozen"), ("staff:olga", "settlement.unfrozen")}


def test_an_approved_unfreeze_of_a_wallet_that_was_frozen_anew_is_refused(book: Book, settings: Any) -> None:
    row = frozen_and_asked_for(settings)
    operating.unfreeze_by_operator(report(), actor="system")
    operating.freeze_by_operator(wallet(), actor="system", reason="a drill")
    with pytest.raises(ApprovalOutdated, match="no longer what was shown"):
        deciding.approve(approval_id=str(row.pk), actor=acting(person("otto", Role.OPERATOR)), reason="seen")
    assert (wallet().status, Approval.objects.get().status) == (WalletStatus.FROZEN, "OUTDATED")


def test_an_approved_unfreeze_needs_an_answer_of_the_chain_and_the_causes_gone(book: Book, settings: Any) -> None:
    row = frozen_and_asked_for(settings)
    otto, urls = acting(person("otto", Role.OPERATOR)), settings.CHAIN_RPC_URLS
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:1"]
    clients.get_client.cache_clear()
    with pytest.raises(Unavailable):
        deciding.approve(approval_id=str(row.pk), actor=otto, reason="seen")
    assert (wallet().status, Approval.objects.get().status) == (WalletStatus.FROZEN, "WAITING")
    settings.CHAIN_RPC_URLS = urls
    clients.get_client.cache_clear()
    PlatformWallet.objects.update(scan_pending=True)
    with pytest.raises(ApprovalOutdated, match="the comparison after the restore is not finished"):
        deciding.approve(approval_id=str(row.pk), actor=otto, reason="seen")
    assert (wallet().status, Approval.objects.get().status) == (WalletStatus.FROZEN, "OUTDATED")
