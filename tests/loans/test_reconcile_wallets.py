"""Whose nonces the reconciliation compares, what of them settlement puts right by itself, and whom it freezes."""

from typing import Any

import pytest
from django.db.models import F
from eth_account import Account

from chain import selectors
from chain.lending.encoding import encode_call
from chain.models import ChainTransaction, Operation, PlatformWallet, TransactionAttempt, WalletStatus
from chain.rpc import clients
from chain.settlement import driver
from loans.models import LoanStatus, OaidCredit, PartnerLoan
from loans.reconciliation.run import Report, reconcile
from loans.services import follow
from loans.services.settle import settle_due
from partners.models import Partner, PartnerDailyUsage
from tests.support.actors import send_as
from tests.support.backup import Backup
from tests.support.chain import FINAL_AFTER_BLOCKS
from tests.support.clocks import shift_clock

pytestmark = pytest.mark.django_db(transaction=True)

PAUSE = 400  # seconds, longer than any
RESTORED = (PlatformWallet, ChainTransaction, TransactionAttempt, Operation)
RESTORED_LOANS = (Partner, PartnerDailyUsage, OaidCredit, PartnerLoan)


@pytest.fixture
def client(chain, make_client, settle) -> Any:
    """A partner with one loan, followed and settled."""
    client = make_client(0)
    client.borrow(chain.users[1], 500, "a")
    settle()
    follow.follow_chain()
    return client


@pytest.fixture
def rotated(chain, client, settle, settings) -> tuple[str, str]:
    """The key was rotated after the loan, and the new one sent another; the old wallet's address, and the new one's."""
    old, new = PlatformWallet.objects.get().address, Account.create()
    chain.rpc("anvil_setBalance", new.address, hex(10**19))
    allow = encode_call("setOperator(address,bool)", [new.address, True])
    send_as(chain, chain.addresses["deployer"], chain.addresses["executor"], allow)
    settings.PLATFORM_RETIRED_PRIVATE_KEYS = [settings.PLATFORM_PRIVATE_KEY]
    settings.PLATFORM_PRIVATE_KEY = "0x" + bytes(new.key).hex()
    clients.get_client.cache_clear()
    client.borrow(chain.users[1], 600, "b")
    settle()
    follow.follow_chain()
    return old, new.address


def send_foreign(chain: Any, address: str) -> None:
    """Somebody has the wallet's key and sends with it."""
    send_as(chain, address, chain.addresses["deployer"], "0x")


def finalize(chain: Any) -> None:
    """Whatever is mined becomes final, and the driver and the watcher see it."""
    for _ in range(3):
        chain.mine(FINAL_AFTER_BLOCKS)
        driver.drive_once()
        follow.follow_chain()


def twice(chain: Any) -> Report:
    """Two runs at different blocks, which may freeze; the second."""
    reconcile(freeze=True)
    chain.mine()
    return reconcile(freeze=True)


def statuses() -> dict[str, str]:
    return dict(PlatformWallet.objects.values_list("address", "status"))


def plant(address: str, change: int = 7) -> None:
    PlatformWallet.objects.filter(address=address).update(next_nonce=F("next_nonce") + change)


def follow_until_final(chain: Any) -> None:
    """Whatever is mined becomes final, and the watcher alone sees it."""
    for _ in range(3):
        chain.mine(FINAL_AFTER_BLOCKS)
        follow.follow_chain()


def test_what_a_reorg_took_that_became_final_before_any_driver_ran_is_in_motion_and_freezes_nothing(
    chain, client, settle
):
    """The watcher keeps no hash of a final block: the chain must say whether it still has the transaction's block."""
    [transaction], wallet = ChainTransaction.objects.all(), PlatformWallet.objects.get()
    chain.rpc("anvil_rollback", chain.block_number() - transaction.block_number + 1)
    follow_until_final(chain)

    report = twice(chain)

    assert (report.findings, report.frozen) == ([], [])
    assert f"wallet:{wallet.address}" in [motion.subject for motion in report.in_motion]
    assert statuses() == {wallet.address: WalletStatus.ACTIVE}
    assert PartnerLoan.objects.get().status == LoanStatus.PENDING  # not settled again: its block is gone

    settle()
    finalize(chain)
    shift_clock(seconds=PAUSE)
    settle()
    shift_clock()
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE
    assert (twice(chain).findings, twice(chain).in_motion) == ([], [])


def test_a_final_transaction_that_no_driver_has_compared_yet_is_in_the_chain_and_no_motion(chain, client):
    follow_until_final(chain)
    assert (PlatformWallet.objects.get().final_block or 0) < ChainTransaction.objects.get().block_number
    assert (twice(chain).findings, twice(chain).in_motion) == ([], [])


class TestRotated:
    def test_a_retired_wallet_whose_gas_is_swept_is_nobodys_concern(self, chain, rotated):
        old, new = rotated
        finalize(chain)
        assert selectors.retired_wallets() == []  # it has nothing to follow
        send_foreign(chain, old)
        finalize(chain)

        report = twice(chain)

        assert (report.findings, report.in_motion, report.checked["wallet"]) == ([], [], 1)
        assert statuses() == {old: WalletStatus.ACTIVE, new: WalletStatus.ACTIVE}

    def test_one_that_is_still_followed_may_be_sent_from_by_anybody(self, chain, rotated):
        old, new = rotated
        send_foreign(chain, old)
        assert [wallet.address for wallet in selectors.retired_wallets()] == [old]

        report = twice(chain)

        assert (report.findings, report.in_motion, report.checked["wallet"]) == ([], [], 2)
        assert statuses() == {old: WalletStatus.ACTIVE, new: WalletStatus.ACTIVE}

    def test_of_one_that_is_still_followed_nothing_may_be_missing(self, chain, rotated):
        old, new = rotated
        plant(old)

        assert [finding.subject for finding in twice(chain).findings] == [f"wallet:{old}"]
        assert statuses() == {old: WalletStatus.FROZEN, new: WalletStatus.ACTIVE}

    def test_a_wrong_counter_freezes_its_own_wallet_and_no_other(self, chain, rotated):
        _, new = rotated
        other_chain = PlatformWallet.objects.create(address=new, chain_id=1, fee_cap_wei=1)
        plant(new)

        report = twice(chain)

        assert report.frozen == [f"wallet:{new}"]
        frozen = PlatformWallet.objects.filter(status=WalletStatus.FROZEN)
        assert list(frozen.exclude(pk=other_chain.pk).values_list("address", flat=True)) == [new]
        assert PlatformWallet.objects.get(pk=other_chain.pk).status == WalletStatus.ACTIVE

    def test_without_a_key_none_of_two_wallets_signs_and_both_are_followed(self, chain, rotated, settings):
        settings.PLATFORM_PRIVATE_KEY, settings.PLATFORM_RETIRED_PRIVATE_KEYS = "", []

        assert selectors.signing_wallet() is None
        assert reconcile().checked["wallet"] == 2

    def test_without_a_key_the_only_wallet_is_compared(self, chain, client, settings):
        settings.PLATFORM_PRIVATE_KEY = ""
        only = PlatformWallet.objects.get()
        plant(only.address)

        assert [finding.subject for finding in reconcile().findings] == [f"wallet:{only.address}"]


class TestAhead:
    """The chain shows more transactions of the signing wallet than the books know."""

    @pytest.fixture
    def subject(self) -> str:
        return f"wallet:{PlatformWallet.objects.get().address}"

    @pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
    def test_a_restored_database_heals_beside_the_reconciliation(self, chain, make_client, quick):
        """F12: restored from before the send. At every block until the driver has adopted the loan, another run."""
        lender = make_client(0)
        driver.drive_once()
        lender.borrow(chain.users[0], 1_000)
        follow.follow_chain()
        reconcile()
        before = Backup(*RESTORED, *RESTORED_LOANS)
        driver.drive_once()
        chain.mine()
        before.restore()
        moving = []

        for _ in range(FINAL_AFTER_BLOCKS + 2):
            driver.drive_once()
            settle_due()
            report = reconcile(freeze=True, quick=quick)
            assert [str(sighting) for sighting in report.sightings] == []
            moving.append([motion.subject for motion in report.in_motion if motion.subject.startswith("wallet:")])
            chain.mine()
        driver.drive_once()
        settle_due()

        wallet = PlatformWallet.objects.get()
        assert moving[0] == [f"wallet:{wallet.address}"]
        assert moving[-1] == []
        assert lender.loan()["status"] == "ACTIVE"
        assert (wallet.status, wallet.status_reason, wallet.next_nonce) == (WalletStatus.ACTIVE, "", 1)
        assert reconcile(freeze=True).in_motion == []

    def test_what_is_not_final_is_in_motion_since_it_was_seen_first_and_a_reorg_may_take_it_back(
        self, chain, client, subject
    ):
        head = chain.block_number()
        send_foreign(chain, subject.partition(":")[2])
        first = reconcile(freeze=True)
        chain.mine()
        second = reconcile(freeze=True)
        for report in (first, second):
            assert report.findings == []
            assert [(m.subject, m.since_block) for m in report.in_motion] == [(subject, first.block_number)]
        chain.rpc("anvil_rollback", chain.block_number() - head)
        chain.rpc("anvil_dropAllTransactions")
        chain.mine(3)

        report = twice(chain)

        assert (report.findings, report.in_motion) == ([], [])
        assert set(statuses().values()) == {WalletStatus.ACTIVE}

    def test_what_is_final_and_the_counter_has_not_followed_is_found(self, chain, client, subject):
        """No driver runs: nothing will put it right."""
        send_foreign(chain, subject.partition(":")[2])
        for _ in range(3):
            chain.mine(FINAL_AFTER_BLOCKS)
            follow.follow_chain()

        report = twice(chain)

        assert [(f.subject, f.what, int(f.actual) - int(f.booked)) for f in report.findings] == [
            (subject, "next_nonce", 1)
        ]
        assert report.frozen == [subject]

    def test_what_is_final_while_the_scan_of_it_goes_on_is_in_motion(self, chain, client, subject):
        send_foreign(chain, subject.partition(":")[2])
        for _ in range(3):
            chain.mine(FINAL_AFTER_BLOCKS)
            follow.follow_chain()
        PlatformWallet.objects.update(scan_pending=True)

        report = twice(chain)

        assert (report.findings, [motion.subject for motion in report.in_motion]) == ([], [subject])
        assert set(statuses().values()) == {WalletStatus.ACTIVE}

    def test_an_endpoint_that_cannot_count_at_the_final_block_has_shown_nothing_to_be_final(
        self, chain, client, subject, monkeypatch
    ):
        send_foreign(chain, subject.partition(":")[2])
        for _ in range(3):
            chain.mine(FINAL_AFTER_BLOCKS)
            follow.follow_chain()
        original = clients.ChainClient.everyone

        def everyone(self: Any, calls: Any) -> Any:
            [(method, params), *_] = calls
            by_number = method == "eth_getTransactionCount" and isinstance(params[1], str)
            return [[clients.RpcError(-32000, "missing trie node")]] if by_number else original(self, calls)

        monkeypatch.setattr(clients.ChainClient, "everyone", everyone)
        report = twice(chain)

        assert (report.findings, [motion.subject for motion in report.in_motion]) == ([], [subject])
        assert set(statuses().values()) == {WalletStatus.ACTIVE}
