"""A wallet whose key was rotated away is seen and put right like any other: `manage.py settlement … --wallet OLD`."""

from typing import Any

import pytest
from django.core.management import CommandError
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain import selectors
from chain.lending.encoding import encode_call
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
from chain.settlement import driver
from chain.wallet import freezing, lease
from sandbox.keys import key_pair
from tests.chain.book import Book
from tests.chain.test_faults_authority import step_and_mine, switch_key
from tests.chain.test_settlement_command import NOTHING, SEND, actions, lost_nonce, settlement
from tests.support.actors import send_as
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

FOREIGN = "nonce 7 was spent by a transaction that is not ours"
UNDONE = "a reorg undid 1 settled operations, which were reopened: borrow:1"
ACTIONS = [
    ("status",),
    ("freeze", "a drill", "--yes"),
    ("unfreeze", "--yes"),
    ("resend", "--yes"),
    ("noop", "0", "--yes"),
    ("review", "--yes"),
    ("review", "--incident-seen", "--yes"),
]


def allow(book: Book, address: str, *, allowed: bool = True) -> None:
    """What `rotate_operator_key` has the executor's owner sign."""
    owner, executor = book.chain.addresses["deployer"], book.chain.addresses["executor"]
    send_as(book.chain, owner, executor, encode_call("setOperator(address,bool)", [address, allowed]))


def rotate(
    book: Book, settings: Settings, account: LocalAccount, *, keep: bool = True
) -> tuple[PlatformWallet, PlatformWallet]:
    """The old wallet, and the one that signs from now on."""
    old = PlatformWallet.objects.get()
    allow(book, account.address)
    switch_key(settings, account, keep=keep)
    driver.drive_once()
    return old, PlatformWallet.objects.exclude(pk=old.pk).get()


@pytest.fixture
def key(book: Book) -> LocalAccount:
    """The new one: it has gas money, and nobody knows it yet."""
    account: LocalAccount = Account.create()
    book.chain.rpc("anvil_setBalance", account.address, hex(10**19))
    return account


@pytest.fixture
def frozen(book: Book, settings: Settings, key: LocalAccount) -> PlatformWallet:
    """Frozen for a foreign nonce, with an incident nobody has read; its key was rotated away since, and retired."""
    driver.drive_once()
    old = PlatformWallet.objects.get()
    freezing.freeze_wallet(old.pk, FOREIGN)
    freezing.raise_incident(old.pk, UNDONE)
    rotate(book, settings, key)
    allow(book, old.address, allowed=False)
    old.refresh_from_db()
    return old


@pytest.fixture
def stuck(book: Book, proxy: RpcProxy, settings: Settings) -> Operation:
    """An operation whose transaction no node has, of the key that is rotated away next."""
    operation = book.borrow()
    proxy.swallow(SEND, NOTHING, times=None)
    driver.drive_once()
    return operation


def headlines(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith("wallet ")]


def state_of(wallet: PlatformWallet) -> tuple[str, str, str]:
    row = PlatformWallet.objects.get(pk=wallet.pk)
    return row.status, row.status_reason, row.incident


# --- seen ---


def test_status_shows_it_behind_the_platforms_while_it_is_frozen_or_has_an_incident(
    book: Book,
    frozen: PlatformWallet,
    key: LocalAccount,
) -> None:
    shown = settlement("status")
    assert headlines(shown) == [
        f"wallet {key.address} on chain {frozen.chain_id}: ACTIVE",
        f"wallet {frozen.address} on chain {frozen.chain_id}: FROZEN, because {FOREIGN}",
    ]
    of_old = shown[shown.index(f"wallet {frozen.address}") :]
    assert "  its key was rotated away: it sends nothing new\n" in of_old
    assert f"UTC: {UNDONE}\n" in of_old
    assert "operations:" not in of_old  # they are listed once
    assert "its owner must set it" not in of_old  # it is to be none
    assert shown.count("  operations: none") == 1


@pytest.mark.parametrize(
    ("fields", "is_listed"),
    [
        ({}, False),
        ({"status": WalletStatus.PAUSED}, True),
        ({"status": WalletStatus.FROZEN}, True),
        ({"incident": UNDONE, "incident_at": "2026-01-05T12:30:01Z"}, True),
    ],
)
def test_status_leaves_out_what_is_of_no_concern(
    book: Book,
    settings: Settings,
    key: LocalAccount,
    fields: dict[str, Any],
    is_listed: bool,
) -> None:
    driver.drive_once()
    old, mine = rotate(book, settings, key)
    elsewhere = PlatformWallet.objects.create(address=old.address, chain_id=1, fee_cap_wei=1, status="FROZEN")
    PlatformWallet.objects.filter(pk=old.pk).update(**fields)
    shown = [line.split()[1] for line in headlines(settlement("status"))]
    assert shown == [mine.address, *([old.address] if is_listed else [])]
    assert elsewhere.status == WalletStatus.FROZEN
    named = headlines(settlement("status", "--wallet", old.address))
    assert [line.split()[1:5] for line in named] == [[old.address, "on", "chain", f"{old.chain_id}:"]]


def test_status_shows_it_while_something_of_it_is_under_way(
    book: Book,
    settings: Settings,
    stuck: Operation,
    key: LocalAccount,
) -> None:
    old, mine = rotate(book, settings, key)
    shown = settlement("status")
    assert headlines(shown) == [
        f"wallet {mine.address} on chain {mine.chain_id}: ACTIVE",
        f"wallet {old.address} on chain {old.chain_id}: ACTIVE",
    ]
    attempt = TransactionAttempt.objects.get()
    assert f"nonce 0 BROADCAST: PAYLOAD {attempt.tx_hash}" in shown[shown.index(f"wallet {old.address}") :]


# --- put right ---


def test_it_is_unfrozen_by_its_name_and_no_other_wallet_with_it(book: Book, frozen: PlatformWallet) -> None:
    """Although the executor takes no bundles of it any more: it sends none."""
    mine = PlatformWallet.objects.exclude(pk=frozen.pk).get()
    freezing.freeze_wallet(mine.pk, "a drill")
    settlement("unfreeze", "--wallet", frozen.address.lower(), "--yes")
    assert state_of(frozen) == (WalletStatus.ACTIVE, "", UNDONE)
    assert state_of(mine) == (WalletStatus.FROZEN, "a drill", "")
    assert selectors.frozen_wallets_count() == 1
    settlement("review", "--incident-seen", "--wallet", frozen.address, "--yes")
    assert state_of(frozen) == (WalletStatus.ACTIVE, "", "")
    assert len(headlines(settlement("status"))) == 1
    assert actions() == ["settlement.unfrozen", "settlement.incident_seen"]
    assert set(AuditEntry.objects.filter(actor__startswith="staff:").values_list("target", flat=True)) == {
        f"wallet:{frozen.address}"
    }


def test_an_unfrozen_one_sends_nothing_new(book: Book, frozen: PlatformWallet) -> None:
    settlement("unfreeze", "--wallet", frozen.address, "--yes")
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
    assert not ChainTransaction.objects.filter(wallet=frozen).exists()


def test_without_its_name_the_platforms_wallet_is_meant(book: Book, frozen: PlatformWallet) -> None:
    with pytest.raises(CommandError, match="refused: the wallet is ACTIVE"):
        settlement("unfreeze", "--yes")
    with pytest.raises(CommandError, match="refused: there is no incident"):
        settlement("review", "--incident-seen", "--yes")
    assert state_of(frozen) == (WalletStatus.FROZEN, FOREIGN, UNDONE)
    assert actions() == []


@pytest.mark.parametrize("action", [("unfreeze",), ("review", "--incident-seen")])
def test_what_is_decided_about_it_holds_for_what_was_shown(
    book: Book, frozen: PlatformWallet, monkeypatch: pytest.MonkeyPatch, action: tuple[str, ...]
) -> None:
    questions: list[str] = []

    def meanwhile(_: Command, question: str, *, yes: bool) -> None:
        questions.append(question)
        freezing.freeze_wallet(frozen.pk, "another")
        freezing.raise_incident(frozen.pk, "one more")

    monkeypatch.setattr(Command, "confirm", meanwhile)
    with pytest.raises(CommandError, match="refused: the wallet changed since it was shown"):
        settlement(*action, "--wallet", frozen.address)
    assert state_of(frozen) == (WalletStatus.FROZEN, f"{FOREIGN} | another", f"{UNDONE} | one more")
    assert actions() == []
    asked = {"unfreeze": "Unfreeze it? Its key was rotated away: it sends nothing new."}
    assert questions == [asked.get(action[0], "Note that the incident was read?")]


def test_it_is_not_unfrozen_while_the_chain_does_not_answer(
    proxy: RpcProxy, book: Book, frozen: PlatformWallet
) -> None:
    proxy.answer_status("eth_blockNumber", 503, times=None)
    with pytest.raises(CommandError, match="refused: the chain does not answer"):
        settlement("unfreeze", "--wallet", frozen.address, "--yes")
    assert state_of(frozen) == (WalletStatus.FROZEN, FOREIGN, UNDONE)


def test_the_comparison_after_a_restore_is_finished_under_it_though_nothing_else_of_it_is_open(
    book: Book, frozen: PlatformWallet
) -> None:
    PlatformWallet.objects.filter(pk=frozen.pk).update(scan_pending=True)
    with pytest.raises(CommandError, match="the comparison after the restore is not finished"):
        settlement("unfreeze", "--wallet", frozen.address, "--yes")
    driver.drive_once()
    settlement("unfreeze", "--wallet", frozen.address, "--yes")
    assert state_of(frozen)[0] == WalletStatus.ACTIVE


def test_one_wallet_is_frozen_by_its_name(book: Book, settings: Settings, key: LocalAccount) -> None:
    driver.drive_once()
    old, mine = rotate(book, settings, key)
    settlement("freeze", "a drill", "--wallet", old.address, "--yes")
    assert (state_of(old), state_of(mine)) == ((WalletStatus.FROZEN, "a drill", ""), (WalletStatus.ACTIVE, "", ""))


def test_what_it_has_stuck_is_sent_again(
    book: Book,
    proxy: RpcProxy,
    settings: Settings,
    stuck: Operation,
    key: LocalAccount,
) -> None:
    old, mine = rotate(book, settings, key)
    with pytest.raises(CommandError, match="refused: no such transaction is under way"):
        settlement("resend", "--yes")
    [attempt] = TransactionAttempt.objects.all()
    driving = lease.take_lease(mine.pk)
    assert driving is not None
    proxy.heal()
    settlement("resend", "--nonce", "0", "--wallet", old.address, "--yes")
    driving.renew()  # the driver of the other wallet goes on
    driving.release()
    [again] = TransactionAttempt.objects.all()
    assert (again.raw, again.send_count) == (attempt.raw, attempt.send_count + 1)
    step_and_mine(book, 2)
    driver.drive_once()
    book.check(confirmed=[stuck])
    assert actions() == ["settlement.resent"]


def test_a_noop_takes_a_nonce_of_it_and_its_operations_go_out_with_the_key(
    book: Book,
    proxy: RpcProxy,
    settings: Settings,
    stuck: Operation,
    key: LocalAccount,
) -> None:
    old, mine = rotate(book, settings, key)
    with pytest.raises(CommandError, match="refused: the database has no such nonce"):
        settlement("noop", "0", "--yes")
    proxy.heal()
    settlement("noop", "0", "--wallet", old.address, "--yes")
    noop = TransactionAttempt.objects.select_related("transaction").get(kind=AttemptKind.NOOP)
    assert noop.transaction.wallet_id == old.pk
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[stuck])
    transactions = ChainTransaction.objects.order_by("created_at").values_list("wallet", "state")
    assert list(transactions) == [(old.pk, TransactionState.CANCELLED), (mine.pk, TransactionState.CONFIRMED)]


def test_a_noop_of_a_key_that_is_gone_is_refused_and_nothing_is_noted(
    book: Book,
    settings: Settings,
    stuck: Operation,
    key: LocalAccount,
) -> None:
    old, _ = rotate(book, settings, key, keep=False)
    refusal = (
        f"refused: there is no key of wallet {old.address}: neither PLATFORM_PRIVATE_KEY nor"
        " PLATFORM_RETIRED_PRIVATE_KEYS holds it"
    )
    with pytest.raises(CommandError, match=refusal):
        settlement("noop", "0", "--wallet", old.address, "--yes")
    assert not TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).exists()
    assert actions() == []
    assert PlatformWallet.objects.get(pk=old.pk).lease_until is None
    settings.PLATFORM_RETIRED_PRIVATE_KEYS = [key_pair("operator").private_key]
    settlement("noop", "0", "--wallet", old.address, "--yes")
    assert TransactionAttempt.objects.filter(kind=AttemptKind.NOOP).count() == 1


def test_operations_are_decided_under_the_platforms_wallet_whichever_carried_them(
    book: Book,
    proxy: RpcProxy,
    settings: Settings,
    key: LocalAccount,
) -> None:
    """The whole drill: somebody else has the key, it is rotated, and what it left behind is put right."""
    operation = lost_nonce(book, proxy)
    old, mine = rotate(book, settings, key)
    shown = settlement("status")
    assert len(headlines(shown)) == 2
    assert shown.count(f"  to review: test {operation.key}: ") == 1
    for decision in ([], [operation.key, "--requeue", "--yes"]):
        with pytest.raises(CommandError, match="refused: operations are the platform's"):
            settlement("review", *decision, "--wallet", old.address)
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW
    settlement("review", operation.key, "--requeue", "--yes")
    settlement("unfreeze", "--wallet", old.address, "--yes")
    step_and_mine(book, 2)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert ChainTransaction.objects.get(state=TransactionState.CONFIRMED).wallet_id == mine.pk
    assert selectors.frozen_wallets_count() == 0


# --- which wallet ---


@pytest.mark.parametrize("action", ACTIONS, ids=" ".join)
def test_an_address_that_is_no_wallet_is_said_and_nothing_is_done(book: Book, action: tuple[str, ...]) -> None:
    driver.drive_once()
    before = list(PlatformWallet.objects.values())
    [mine] = before
    unknown = "0x000000000000000000000000000000000000dEaD"
    said = f"--wallet: {unknown} is no wallet on chain {mine['chain_id']}; known: {mine['address']}$"
    with pytest.raises(CommandError, match=said):
        settlement(*action, "--wallet", unknown)
    with pytest.raises(CommandError, match=r"--wallet: Must be an address: 0x and 40 hex digits\."):
        settlement(*action, "--wallet", "operator")
    assert list(PlatformWallet.objects.values()) == before
    assert actions() == []


def test_a_wallet_of_another_chain_is_none_of_this_one(book: Book) -> None:
    driver.drive_once()
    elsewhere = PlatformWallet.objects.create(address="0x" + "11" * 20, chain_id=1, fee_cap_wei=1, status="FROZEN")
    with pytest.raises(CommandError, match="is no wallet on chain"):
        settlement("unfreeze", "--wallet", elsewhere.address, "--yes")
    assert PlatformWallet.objects.get(pk=elsewhere.pk).status == WalletStatus.FROZEN


def test_without_a_key_every_wallet_is_shown_and_one_is_to_be_named(
    book: Book,
    proxy: RpcProxy,
    settings: Settings,
    stuck: Operation,
    key: LocalAccount,
) -> None:
    old, mine = rotate(book, settings, key)
    settings.PLATFORM_PRIVATE_KEY, settings.PLATFORM_RETIRED_PRIVATE_KEYS = "", []
    assert [line.split()[1] for line in headlines(settlement("status"))] == [old.address, mine.address]
    which = rf"PLATFORM_PRIVATE_KEY is not set: .* --wallet \({old.address}, {mine.address}\)"
    with pytest.raises(CommandError, match=which):
        settlement("resend", "--yes")
    [attempt] = TransactionAttempt.objects.all()
    proxy.heal()
    settlement("resend", "--wallet", old.address, "--yes")
    assert TransactionAttempt.objects.get().send_count == attempt.send_count + 1
    assert proxy.forwarded[SEND] == 1


def test_without_a_key_and_without_a_wallet_it_says_so(book: Book, settings: Settings) -> None:
    settings.PLATFORM_PRIVATE_KEY = ""
    for action in ACTIONS:
        with pytest.raises(CommandError, match=r"^PLATFORM_PRIVATE_KEY is not set$"):
            settlement(*action)
