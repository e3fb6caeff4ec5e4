"""F49, F50: the executor and the key change while operations are under way; each is done where it was promised."""

import io
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import override_settings
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain import selectors
from chain.events.watcher import read_new_blocks
from chain.lending import deployment
from chain.lending.encoding import encode_call
from chain.models import ChainEvent, ChainTransaction, Executor, Operation, OperationState, TransactionState
from chain.operators.operating import operator_lease
from chain.operators.review import gather_evidence
from chain.rpc import clients
from chain.settlement import driver
from chain.wallet.signer import SignerUnavailable
from sandbox.keys import key_pair
from tests.chain.book import Book, wallet
from tests.support.actors import send_as, set_operator
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db(transaction=True)

OWNER_KEY = "EXECUTOR_OWNER_PRIVATE_KEY"


@pytest.fixture(autouse=True)
def _owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts' owner is the world's deployer."""
    monkeypatch.setenv(OWNER_KEY, key_pair("deployer").private_key)


def run(book: Book, command: str, *arguments: str, **options: Any) -> str:
    """The command on the node itself: what its owner signs is no bundle of ours."""
    out = io.StringIO()
    with override_settings(CHAIN_RPC_URLS=[book.chain.url]), book.chain.automine():
        clients.get_client.cache_clear()
        type_command(command, *arguments, stdout=out, **options)
    clients.get_client.cache_clear()
    return out.getvalue()


def another_executor(book: Book) -> str:
    with book.chain.automine():
        return deployment.deploy_executor(
            client=clients.get_client(),
            owner_key=key_pair("deployer").private_key,
            operator_address=book.chain.addresses["operator"],
            treasury=book.chain.addresses["treasury"],
            usdc=book.chain.addresses["usdc"],
        )


def allow_executor(book: Book, executor: str) -> None:
    data = encode_call("setOperator(address,bool)", [executor, True])
    send_as(book.chain, book.user.wallet, book.chain.addresses["solvencyVault"], data)


def paid_out(book: Book) -> int:
    return book._moved()["paid out"]


def step_and_mine(book: Book, blocks: int) -> None:
    for _ in range(blocks):
        driver.drive_once()
        book.chain.mine()


@pytest.fixture
def new_key(book: Book, settings: Settings) -> LocalAccount:
    """A key that has gas money and that nobody knows yet."""
    account: LocalAccount = Account.create()
    book.chain.rpc("anvil_setBalance", account.address, hex(10**19))
    return account


def switch_key(settings: Settings, account: LocalAccount, *, keep: bool = True) -> None:
    old = settings.PLATFORM_PRIVATE_KEY
    settings.PLATFORM_PRIVATE_KEY = "0x" + bytes(account.key).hex()
    settings.PLATFORM_RETIRED_PRIVATE_KEYS = [old] if keep else []


# --- F49 ---


def test_f49_what_was_sent_to_the_old_executor_is_settled_by_its_events(book: Book, settings: Settings) -> None:
    old = settings.PLATFORM_EXECUTOR_ADDRESS
    first = book.borrow()
    driver.drive_once()
    new = another_executor(book)
    allow_executor(book, new)
    settings.PLATFORM_EXECUTOR_ADDRESS = new
    step_and_mine(book, 2)
    second = book.borrow()
    step_and_mine(book, 2)
    driver.drive_once()
    book.check_states(confirmed=[first, second])
    assert paid_out(book) == 2 * 995_000_000
    assert [row.executor for row in ChainTransaction.objects.order_by("nonce")] == [old, new]
    assert [row.executor for row in Operation.objects.order_by("created_at")] == [old, new]


def test_f49_what_waits_for_the_old_executor_goes_to_it_and_not_into_a_bundle_of_the_new(
    book: Book, settings: Settings
) -> None:
    waiting = book.borrow()
    new = another_executor(book)
    allow_executor(book, new)
    settings.PLATFORM_EXECUTOR_ADDRESS = new
    later = book.borrow()
    step_and_mine(book, 2)
    driver.drive_once()
    book.check_states(confirmed=[waiting, later])
    assert ChainTransaction.objects.count() == 2
    assert paid_out(book) == 2 * 995_000_000


def test_f49_the_evidence_for_a_person_is_the_old_executors(book: Book, settings: Settings) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    Operation.objects.update(state=OperationState.NEEDS_REVIEW)
    settings.PLATFORM_EXECUTOR_ADDRESS = another_executor(book)
    with operator_lease(clients.get_client(), wallet()) as engine:
        evidence = gather_evidence(engine, Operation.objects.get(pk=operation.pk))
    assert evidence.executed_latest
    assert evidence.advice == "adopt: the chain executed it, and every expected log is there"


def test_f49_an_old_executor_that_refuses_stops_only_what_was_promised_to_it(book: Book, settings: Settings) -> None:
    stuck = book.borrow()
    owner = book.chain.addresses["deployer"]
    send_as(book.chain, owner, book.chain.addresses["executor"], encode_call("pause()"))
    new = another_executor(book)
    allow_executor(book, new)
    settings.PLATFORM_EXECUTOR_ADDRESS = new
    healthy = book.borrow()
    step_and_mine(book, 2)
    driver.drive_once()
    book.check_states(confirmed=[healthy], not_done={OperationState.NEEDS_REVIEW: [stuck]})
    assert wallet().status == "ACTIVE"
    assert "EnforcedPause" in Operation.objects.get(pk=stuck.pk).reason


def test_f49_events_of_the_old_executor_are_followed_on(book: Book, settings: Settings) -> None:
    operation = book.borrow()
    driver.drive_once()
    settings.PLATFORM_EXECUTOR_ADDRESS = another_executor(book)
    step_and_mine(book, 2)
    read_new_blocks()
    drawn = ChainEvent.objects.get(name="SolvencyVault.USDCBorrowed")
    assert drawn.operation_uid == operation.uid  # its mark is the old executor's event


def test_f49_the_drill_of_replacing_the_executor(book: Book, settings: Settings) -> None:
    old = settings.PLATFORM_EXECUTOR_ADDRESS
    first = book.borrow()
    driver.drive_once()
    new = another_executor(book)
    shown = run(book, "replace_executor", new)
    assert f"{new} can do the work of {old}" in shown
    assert set(Executor.objects.values_list("address", flat=True)) == {old, new}
    settings.PLATFORM_EXECUTOR_ADDRESS = new
    with pytest.raises(CommandError, match="1 operations that were promised to it are open"):
        run(book, "replace_executor", retire=old)
    step_and_mine(book, 2)
    book.act_on_what_is_final()
    shown = run(book, "replace_executor", retire=old)
    assert f"nothing is open on {old}; it holds $5" in shown
    book.check(confirmed=[first])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0x000000000000000000000000000000000000dEaD", "there is no contract at"),
        ("usdc", "is no PlatformExecutor"),
    ],
)
def test_f49_what_is_no_executor_is_refused(book: Book, address: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        run(book, "replace_executor", book.chain.addresses.get(address, address))


def test_f49_an_executor_that_does_not_know_our_key_is_refused(
    book: Book, new_key: LocalAccount, settings: Settings
) -> None:
    new = another_executor(book)
    switch_key(settings, new_key)
    with pytest.raises(CommandError, match="it does not take bundles of"):
        run(book, "replace_executor", new)


# --- F50 ---


def test_f50_what_the_old_key_sent_is_settled_under_the_old_wallet(
    book: Book, settings: Settings, new_key: LocalAccount
) -> None:
    old = wallet_address(book)
    first = book.borrow()
    driver.drive_once()
    run(book, "rotate_operator_key", new_key.address)  # the transaction of the old key is mined meanwhile
    switch_key(settings, new_key)
    second = book.borrow()
    step_and_mine(book, 2)
    driver.drive_once()
    book.check(confirmed=[first, second])
    assert {row.wallet.address: row.nonce for row in ChainTransaction.objects.select_related("wallet")} == {
        old: 0,
        new_key.address: 0,
    }


def wallet_address(book: Book) -> str:
    return str(book.chain.addresses["operator"])


def test_f50_what_the_old_key_sent_is_bumped_with_it(
    book: Book, settings: Settings, new_key: LocalAccount, proxy: Any
) -> None:
    proxy.swallow("eth_sendRawTransaction", "0x" + "00" * 32, times=8)
    operation = book.borrow()
    driver.drive_once()
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key)
    step_and_mine(book, 12)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert ChainTransaction.objects.get().attempts.count() > 1
    assert ChainTransaction.objects.get().wallet.address == wallet_address(book)


def test_f50_a_reorg_after_the_rotation_is_followed_under_the_old_wallet(
    book: Book, settings: Settings, new_key: LocalAccount
) -> None:
    operation = book.borrow()
    driver.drive_once()
    book.settle()
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key)
    driver.drive_once()
    book.chain.rpc("anvil_rollback", 2)
    book.chain.rpc("anvil_dropAllTransactions")
    book.chain.mine(3)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    step_and_mine(book, 3)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert [row.address for row in selectors.retired_wallets()] == [wallet_address(book)]  # not final yet
    book.finalize()
    book.chain.mine(40)
    driver.drive_once()
    assert selectors.retired_wallets() == []


def test_f50_an_operation_of_a_noop_of_the_old_key_goes_out_with_the_new_one(
    book: Book, settings: Settings, new_key: LocalAccount, proxy: Any
) -> None:
    proxy.refuse("eth_sendRawTransaction", "oversized data")
    operation = book.borrow()
    driver.drive_once()  # no node takes the bundle: a noop has its nonce
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key)
    step_and_mine(book, 4)
    driver.drive_once()
    book.check(confirmed=[operation])
    transactions = ChainTransaction.objects.select_related("wallet").order_by("created_at")
    assert [(row.wallet.address, row.state) for row in transactions] == [
        (wallet_address(book), TransactionState.CANCELLED),
        (new_key.address, TransactionState.CONFIRMED),
    ]


def test_f50_the_drill_of_rotating_the_key(book: Book, settings: Settings, new_key: LocalAccount) -> None:
    old = wallet_address(book)
    first = book.borrow()
    driver.drive_once()
    with pytest.raises(CommandError, match="signs still"):
        run(book, "rotate_operator_key", retire=old)
    book.settle()
    live = book.borrow()
    driver.drive_once()
    shown = io.StringIO()
    type_command("rotate_operator_key", new_key.address, calldata=True, stdout=shown)
    data = encode_call("setOperator(address,bool)", [new_key.address, True])
    assert f"the owner signs: to {settings.PLATFORM_EXECUTOR_ADDRESS} data {data}" in shown.getvalue()
    switch_key(settings, new_key)
    with pytest.raises(CommandError, match=r"1 transactions of .* are under way"):
        run(book, "rotate_operator_key", retire=old)
    run(book, "rotate_operator_key", new_key.address)
    step_and_mine(book, 2)
    with pytest.raises(CommandError, match=r"not all that .* sent is final"):
        type_command("rotate_operator_key", retire=old)
    book.chain.mine(50)
    driver.drive_once()
    run(book, "rotate_operator_key", retire=old)
    book.check(confirmed=[first, live])
    refused = book.chain.rpc(
        "eth_call",
        {
            "to": settings.PLATFORM_EXECUTOR_ADDRESS,
            "data": encode_call("isOperator(address)", [old]),
        },
        "latest",
    )
    assert int(refused, 16) == 0
    told = AuditEntry.objects.filter(action__startswith="settlement.key_").order_by("timestamp")
    assert [entry.action for entry in told] == ["settlement.key_allowed", "settlement.key_retired"]


def test_f50_a_compromised_key_is_retired_at_once_and_what_it_had_under_way_goes_out_with_the_new_one(
    book: Book, settings: Settings, new_key: LocalAccount, proxy: Any
) -> None:
    old = wallet_address(book)
    operation = book.borrow()
    proxy.swallow("eth_sendRawTransaction", "0x" + "00" * 32)
    driver.drive_once()  # signed, and still with us
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key)
    run(book, "rotate_operator_key", retire=old, compromised=True)
    for _ in range(4):
        driver.drive_once()
        book.chain.mine()
    driver.drive_once()
    book.check(confirmed=[operation])
    transactions = ChainTransaction.objects.select_related("wallet").order_by("created_at")
    assert [(row.wallet.address, row.state) for row in transactions] == [
        (old, TransactionState.REVERTED),
        (new_key.address, TransactionState.CONFIRMED),
    ]


def test_f50_a_wallet_whose_key_is_gone_is_still_followed(
    book: Book, settings: Settings, new_key: LocalAccount
) -> None:
    operation = book.borrow()
    driver.drive_once()
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key, keep=False)
    step_and_mine(book, 2)
    driver.drive_once()
    book.check(confirmed=[operation])
    assert set_operator(book.chain, book.user, allowed=True)  # the chain goes on


def test_f50_without_any_key_every_wallet_is_followed(book: Book, settings: Settings, new_key: LocalAccount) -> None:
    first = book.borrow()
    driver.drive_once()
    run(book, "rotate_operator_key", new_key.address)
    switch_key(settings, new_key)
    second = book.borrow()
    driver.drive_once()
    settings.PLATFORM_PRIVATE_KEY, settings.PLATFORM_RETIRED_PRIVATE_KEYS = "", []
    book.chain.mine(2)
    with pytest.raises(SignerUnavailable):
        driver.drive_once()
    book.check(confirmed=[first, second])
