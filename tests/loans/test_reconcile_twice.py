"""What one reconciliation alone saw is told and not acted on; what stands in two of different blocks is.

A repair derives the figure anew in the transaction that writes it. What is in motion for too long is told of, once.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import F
from prometheus_client import REGISTRY

from audit.models import AuditEntry
from audit.tasks import seal_trail
from chain import reconciling
from chain.models import FundingTransfer, PlatformWallet, WalletStatus, WatchedBlock
from chain.rpc import clients
from chain.rpc.clients import ChainUnavailable
from chain.settlement import driver
from loans.management.commands import reconcile as command
from loans.models import LoanStatus, OaidCredit, PartnerLoan, ReconciliationRun, SolvencyPosition
from loans.reconciliation import freezing, repairs
from loans.reconciliation import run as module
from loans.reconciliation.run import due_run, reconcile
from loans.services import follow
from partners.figures.daily_figures import COLUMNS
from partners.models import Partner, PartnerDailyUsage, PartnerStatus
from tests.factories import DOLLAR
from tests.support import books
from tests.support.actors import draw_on_chain, repay_on_chain, transfer_usdc
from tests.support.between_reads import between_reads
from tests.support.clocks import shift_clock
from tests.support.commands import type_command
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(chain, make_client, settle) -> Any:
    """A partner with a loan of 5,000 and one of 70, all followed and settled."""
    client = make_client(0)
    client.borrow(chain.users[1], 5_000, "a")
    client.borrow(chain.users[0], 70, "b")
    settle()
    follow.follow_chain()
    return client


@pytest.fixture(autouse=True)
def right_clock() -> Iterator[None]:
    yield
    shift_clock()


def plant(rows: Any, name: str, change: int = 7) -> None:
    rows.update(**{name: F(name) + change})


def partner(client: Any) -> Any:
    return Partner.objects.filter(pk=client.partner.pk)


def statuses() -> tuple[set[str], set[str], int]:
    """Of partners, of wallets; and how many positions are frozen."""
    return (
        set(Partner.objects.values_list("status", flat=True)),
        set(PlatformWallet.objects.values_list("status", flat=True)),
        SolvencyPosition.objects.filter(frozen=True).count(),
    )


NOTHING_FROZEN = ({PartnerStatus.ACTIVE}, {WalletStatus.ACTIVE}, 0)


class TestTwoRuns:
    def test_a_finding_of_one_run_alone_freezes_and_repairs_nothing(self, chain, client):
        plant(partner(client), "total_borrowed")
        plant(SolvencyPosition.objects.filter(position_id=chain.users[1].position_id), "pool_principal")
        plant(PlatformWallet.objects.all(), "next_nonce")

        report = reconcile(freeze=True, repair=True)

        assert [(sighting.finding.what, sighting.is_confirmed) for sighting in report.sightings] == [
            ("total_borrowed", False),
            ("debt", False),
            ("next_nonce", False),
        ]
        assert (report.frozen, report.repaired, report.unconfirmed) == ([], [], 3)
        assert statuses() == NOTHING_FROZEN
        assert partner(client).get().total_borrowed == 5_070 * DOLLAR + 7

    def test_the_same_block_again_is_the_same_look(self, client):
        plant(partner(client), "total_borrowed")
        reconcile()

        assert reconcile(freeze=True, repair=True).unconfirmed == 1
        assert statuses() == NOTHING_FROZEN

    def test_at_a_later_block_it_stands_and_is_acted_on(self, chain, client):
        plant(PlatformWallet.objects.all(), "next_nonce")
        first = reconcile(freeze=True)
        chain.mine()

        second = reconcile(freeze=True)

        [sighting] = second.sightings
        assert (sighting.since_block, sighting.is_confirmed) == (first.block_number, True)
        assert statuses()[1] == {WalletStatus.FROZEN}

    def test_another_figure_in_the_second_run_is_seen_for_the_first_time(self, chain, client):
        plant(partner(client), "total_borrowed")
        reconcile()
        chain.mine()
        plant(partner(client), "total_borrowed", -7)
        plant(partner(client), "total_repaid")

        report = reconcile(freeze=True)

        assert [(s.finding.what, s.is_confirmed) for s in report.sightings] == [("total_repaid", False)]
        assert statuses() == NOTHING_FROZEN

    def test_the_command_looks_again_at_the_next_block_by_itself(self, chain, client, capsys, monkeypatch):
        plant(partner(client), "total_borrowed")
        waited = []

        def wait(after: int, *, seconds: float) -> bool:
            waited.append((after, seconds))
            chain.mine()
            return True

        monkeypatch.setattr(command, "wait_for_next_block", wait)
        type_command("reconcile", "--repair", "--wait", "9")

        output = capsys.readouterr()
        assert waited == [(ReconciliationRun.objects.get(number=1).block_number, 9.0)]
        assert "1 findings as of block" in output.err
        assert f"Repaired: partner {client.partner.partner_id} total_borrowed is 5070000007" in output.out
        assert partner(client).get().total_borrowed == 5_070 * DOLLAR

    def test_without_a_new_block_the_command_does_nothing_and_says_so(self, client, capsys):
        plant(partner(client), "total_borrowed")

        with pytest.raises(SystemExit) as ended:
            type_command("reconcile", "--repair", "--freeze", "--wait", "0")

        assert ended.value.code == 1
        assert "No new block within 0 s: nothing was done about them." in capsys.readouterr().err
        assert statuses() == NOTHING_FROZEN

    def test_without_anything_to_do_about_it_one_look_is_enough(self, client, capsys):
        plant(partner(client), "total_borrowed")

        with pytest.raises(SystemExit):
            type_command("reconcile")

        assert ReconciliationRun.objects.count() == 1
        assert "(seen once)" in capsys.readouterr().out

    def test_a_position_frozen_since_the_look_is_not_thawed_by_it(self, chain, client, monkeypatch):
        mine = SolvencyPosition.objects.filter(position_id=chain.users[1].position_id)
        mine.update(frozen=True, frozen_reason="reconciliation: once")
        original = freezing.frozen_positions

        def then_frozen_anew() -> Any:
            before = original()
            mine.update(frozen_reason="reconciliation: something else")
            return before

        monkeypatch.setattr(freezing, "frozen_positions", then_frozen_anew)
        reconcile(repair=True)
        assert mine.get().frozen is True

        monkeypatch.undo()
        reconcile(repair=True)
        assert mine.get().frozen is False


USAGE = ("borrowed", *COLUMNS)
REPAIRABLE = {
    "loan": lambda c: (PartnerLoan.objects.filter(partner_loan_id="b"), "interest_paid"),
    "partner": lambda c: (partner(c), "current_outstanding"),
    "day": lambda c: (PartnerDailyUsage.objects.filter(partner=c.partner), "borrowed"),
    "repaid on a day": lambda c: (PartnerDailyUsage.objects.filter(partner=c.partner), "repaid"),
    "oaid": lambda c: (OaidCredit.objects.filter(reserved=0), "reserved"),
    "position": lambda c: (SolvencyPosition.objects.filter(total_partner_debt=5_000 * DOLLAR), "total_partner_debt"),
    "used": lambda c: (FundingTransfer.objects.all(), "used"),
}


class TestRepair:
    @pytest.mark.parametrize("what", REPAIRABLE)
    def test_a_sum_that_stands_wrong_is_derived_anew_and_audited(self, chain, client, settle, what):
        paid = transfer_usdc(chain, client.partner.settlement_address, chain.addresses["executor"], 30 * DOLLAR)
        client.repay(20 * DOLLAR, "b", repaymentTxHash=paid)
        settle()
        follow.follow_chain()
        rows, column = REPAIRABLE[what](client)
        row = rows.first()
        right = getattr(row, column)
        mine = type(row).objects.filter(pk=row.pk)
        plant(mine, column)
        reconcile()
        chain.mine()

        report = reconcile(repair=True)

        assert (getattr(mine.get(), column), len(report.repaired)) == (right, 1)
        entry = AuditEntry.objects.get(action="books.repaired")
        assert (entry.before, entry.after) == ({column: str(right + 7)}, {column: str(right)})
        assert books.discrepancies() == []

    def test_a_repair_beside_accepted_borrows_takes_nobody_s_reservation(self, chain, client, settle, monkeypatch):
        """Between any two reads of the run that repairs, another borrow is accepted: the sum is that of now."""
        plant(partner(client), "current_outstanding")
        reconcile()
        chain.mine()
        numbers = iter(range(1_000))

        def borrow() -> None:
            assert client.borrow(chain.users[0], 3, f"meanwhile-{next(numbers)}").status_code == 202

        with between_reads(monkeypatch, lambda _: borrow) as points:
            report = reconcile(repair=True)

        assert points.count > 20
        assert [text.split(" is ")[0].split()[-1] for text in report.repaired] == ["current_outstanding"]
        assert books.discrepancies() == []
        settle()
        assert set(PartnerLoan.objects.values_list("status", flat=True)) == {LoanStatus.ACTIVE}
        assert books.discrepancies() == []

    def test_a_sum_that_is_right_by_now_is_left(self, chain, client, monkeypatch):
        plant(partner(client), "current_outstanding")
        reconcile()
        chain.mine()
        original = repairs.repair_sum

        def put_right_first(finding: Any) -> bool:
            plant(partner(client), "current_outstanding", -7)
            return original(finding)

        monkeypatch.setattr(repairs, "repair_sum", put_right_first)
        report = reconcile(repair=True, freeze=True)

        assert report.repaired == []
        assert partner(client).get().current_outstanding == 5_070 * DOLLAR
        assert not AuditEntry.objects.filter(action="books.repaired").exists()


class TestMotion:
    def test_what_never_settles_is_told_of_once_and_counted(self, chain, client, settings, caplog):
        """Landed, and its settling fails: it is in motion, and after so many blocks a person hears of it."""
        settings.CHAIN_OVERDUE_BLOCKS = 20
        client.borrow(chain.users[1], 50, "stuck")
        driver.drive_once()
        chain.mine()
        landed = chain.block_number()
        caplog.set_level(logging.ERROR, logger="loans.reconciliation.run")

        def look() -> tuple[int, list[str]]:
            caplog.clear()
            report = reconcile()
            assert report.findings == []
            overdue = REGISTRY.get_sample_value("reconciliation_in_motion", {"age": "overdue"})
            return int(overdue or 0), [record.getMessage() for record in caplog.records]

        assert look() == (0, [])
        for _ in range(20):
            chain.mine()
        moving, told = look()
        loan = PartnerLoan.objects.get(partner_loan_id="stuck")
        assert moving >= 1
        mine = f"loan:{loan.internal_loan_id}"
        assert [line for line in told if mine in line] == [f"reconciliation: {mine} is in motion since block {landed}"]
        chain.mine()
        assert look() == (moving, [])

    def test_a_chain_that_goes_on_while_everything_is_read_is_no_watcher_that_is_behind(
        self, chain, client, settings, monkeypatch, caplog
    ):
        settings.CHAIN_OVERDUE_BLOCKS = 20
        original = reconciling.read_positions

        def read(*args: Any, **kwargs: Any) -> Any:
            chain.mine(30)
            return original(*args, **kwargs)

        monkeypatch.setattr(reconciling, "read_positions", read)
        caplog.set_level(logging.ERROR, logger="loans.reconciliation.run")
        report = reconcile()

        assert chain.block_number() - report.block_number >= 30
        assert (report.findings, report.in_motion, caplog.records) == ([], [], [])

    def test_a_watcher_that_was_behind_when_the_look_began_is_in_motion(self, chain, client, settings, monkeypatch):
        """Blocks came between its last reading and the look."""
        original = module._compare

        def look_later(last: Any) -> Any:
            monkeypatch.setattr(module, "_catch_up", lambda: None)
            chain.mine(30)
            return original(last)

        settings.CHAIN_OVERDUE_BLOCKS = 20
        monkeypatch.setattr(module, "_compare", look_later)
        report = reconcile()

        assert [(m.subject, m.since_block, m.overdue) for m in report.in_motion] == [
            ("watcher:chain", report.block_number + 1, True)
        ]

    def test_what_is_in_motion_hides_no_account(self, chain, client):
        """The account's check goes on beside it: USDC that is missing is found."""
        client.borrow(chain.users[1], 50, "stuck")
        driver.drive_once()
        chain.mine()
        plant(PartnerLoan.objects.filter(partner_loan_id="a"), "platform_fee_charged")

        assert [(finding.kind, finding.what.partition(" ")[0]) for finding in reconcile().findings] == [
            ("analytics", "fees"),
            ("account", "usdc"),
        ]


class TestQuickly:
    def test_what_did_not_move_is_not_read_again(self, chain, client, settle, monkeypatch):
        """Reads of the database and posts to the node are as many beside seven loans as beside two."""

        def reads_of_a_quick_run() -> int:
            seal_trail()
            reconcile()
            chain.mine()
            follow.follow_chain()
            with between_reads(monkeypatch, lambda _: None) as points:
                report = reconcile(quick=True)
            assert (report.is_full, report.findings, report.checked.get("position", 0)) == (False, [], 0)
            return points.count

        beside_two = reads_of_a_quick_run()
        for number in range(5):
            client.borrow(chain.users[number % 3], 9, f"more-{number}")
        settle()
        follow.follow_chain()

        assert reads_of_a_quick_run() == beside_two

    def test_of_two_positions_the_one_that_moved_is_read(self, chain, client):
        seal_trail()
        reconcile()
        client.borrow(chain.users[0], 9, "c")
        follow.follow_chain()

        report = reconcile(quick=True)

        assert (report.is_full, report.findings, report.checked["position"]) == (False, [], 1)

    def test_what_moved_is_compared_and_every_partner_s_sums_are(self, chain, client, settle):
        reconcile()
        client.repay(20 * DOLLAR, "b")
        settle()
        plant(PartnerLoan.objects.filter(partner_loan_id="b"), "total_repaid")
        plant(partner(client), "total_borrowed")

        report = reconcile(quick=True)

        assert not report.is_full
        assert sorted((finding.kind, finding.what) for finding in report.findings) == [
            ("loan", "total_repaid"),
            ("partner", "total_borrowed"),
        ]

    def test_each_wrong_figure_of_a_day_is_found_once_and_each_is_repaired(self, chain, client, settle):
        reconcile()
        client.repay(20 * DOLLAR, "b")
        settle()
        day = PartnerDailyUsage.objects.filter(partner=client.partner, borrowed__gt=0)
        right = day.values(*USAGE).get()
        for name in USAGE:
            plant(day, name)

        report = reconcile(quick=True)

        assert not report.is_full
        assert sorted((finding.kind, finding.what.partition(" of ")[0]) for finding in report.findings) == sorted(
            ("partner", "daily usage") if name == "borrowed" else ("analytics", name) for name in USAGE
        )
        chain.mine()
        assert len(reconcile(repair=True).repaired) == len(USAGE)
        assert day.values(*USAGE).get() == right

    def test_a_wrong_figure_of_a_partner_that_nothing_moved_of_is_found_quickly_too(self, chain, client):
        reconcile()
        plant(PartnerDailyUsage.objects.filter(partner=client.partner, borrowed__gt=0), "defaulted_loans")
        chain.mine()
        report = reconcile(quick=True)
        assert (report.is_full, [finding.what.partition(" of ")[0] for finding in report.findings]) == (
            False,
            ["defaulted_loans"],
        )
        chain.mine()
        report = reconcile(freeze=True)
        assert ([finding.kind for finding in report.findings], report.frozen) == (["analytics"], [])
        assert partner(client).get().status == PartnerStatus.ACTIVE

    def test_the_account_is_compared_by_the_sums_of_the_last_run_and_what_came_since(self, chain, client, settle):
        reconcile()
        client.borrow(chain.users[0], 100, "c")
        settle()
        repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 10 * DOLLAR)
        draw_on_chain(chain, chain.users[1], DOLLAR)
        stranger = chain.world.partners[1].settlement_address
        transfer_usdc(chain, stranger, chain.addresses["executor"], 3)
        report = reconcile(quick=True)
        assert (report.is_full, report.findings) == (False, [])

        ReconciliationRun.objects.filter(number=2).update(flows={chain.addresses["executor"]: "1"})
        chain.mine()
        [finding] = reconcile(quick=True).findings
        assert (finding.kind, finding.actual) == ("account", str(chain.usdc_balance(chain.addresses["executor"])))

    def test_after_a_finding_and_after_a_replaced_block_everything_is_read(self, chain, client):
        plant(partner(client), "total_borrowed")
        reconcile()
        chain.mine()
        plant(partner(client), "total_borrowed", -7)
        assert reconcile(quick=True).is_full
        chain.mine()
        assert not reconcile(quick=True).is_full
        chain.rpc("anvil_reorg", 2, [])
        chain.mine()
        assert reconcile(quick=True).is_full

    def test_after_a_replaced_block_whose_hash_is_not_kept_any_more_everything_is_read(self, chain, client):
        reconcile()
        ReconciliationRun.objects.update(block_hash="0x" + "ab" * 32)
        WatchedBlock.objects.all().delete()
        chain.mine()

        assert reconcile(quick=True).is_full


class TestDue:
    def test_the_first_run_is_full_then_quick_ones_then_a_full_one_again(self, chain, client, settings):
        settings.RECONCILE_SECONDS, settings.RECONCILE_FULL_SECONDS = 300, 3_600
        assert due_run() == "full"
        reconcile()
        assert due_run() == ""
        shift_clock(seconds=301)
        assert due_run() == "quick"
        reconcile(quick=True)
        assert due_run() == ""
        shift_clock(seconds=3_700)
        assert due_run() == "full"

    def test_after_a_finding_the_next_block_is_looked_at_and_no_hour_is_waited_for(self, chain, client):
        plant(partner(client), "total_borrowed")
        reconcile()
        assert due_run() == ""
        chain.mine()
        follow.follow_chain()
        assert due_run() == "full"
        reconcile(freeze=True)
        chain.mine()
        follow.follow_chain()
        assert due_run() == ""  # it stands and was acted on
        assert statuses()[0] == {PartnerStatus.SUSPENDED}


class TestTwoEndpoints:
    @pytest.fixture
    def liar(self, chain, client, settings) -> Iterator[RpcProxy]:
        """The first of two endpoints; what it is told to say, it says."""
        with RpcProxy(chain.url) as proxy:
            settings.CHAIN_RPC_URLS = [proxy.url, chain.url]
            clients.get_client.cache_clear()
            yield proxy
        clients.get_client.cache_clear()

    @pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_call"])
    def test_what_one_endpoint_says_alone_is_no_finding_however_often(self, chain, liar, caplog, method):
        for _ in range(2):
            liar.rewrite(method, lambda told: f"0x{int(told, 16) + 3:0{len(told) - 2}x}", times=None)
            with pytest.raises(ChainUnavailable, match="disagree"):
                reconcile(freeze=True)
            chain.mine()
        assert "the endpoints disagree about the state at one block" in caplog.text
        assert statuses() == NOTHING_FROZEN


def test_a_counter_that_settlement_will_lower_by_itself_is_in_motion_and_freezes_nothing(chain, client):
    """A new wallet began at what one endpoint said; until that block is final the counter is in doubt."""
    head = chain.block_number()
    PlatformWallet.objects.update(next_nonce=F("next_nonce") + 3, nonces_from=F("next_nonce") + 3, nonces_block=head)
    subject = f"wallet:{PlatformWallet.objects.get().address}"

    for _ in range(2):
        report = reconcile(freeze=True)
        assert (report.findings, [motion.subject for motion in report.in_motion]) == ([], [subject])
        chain.mine()
    assert statuses() == NOTHING_FROZEN

    PlatformWallet.objects.update(nonces_block=0)  # as where it is final, and nobody lowered it
    assert [finding.what for finding in reconcile(freeze=True).findings] == ["next_nonce"]


@pytest.mark.parametrize("name", ["read_balances", "read_nonces"])
def test_one_wrong_reading_of_an_account_or_a_nonce_is_read_again(chain, client, monkeypatch, name):
    """anvil answers about its newest block with the state of the one that it makes at that moment."""
    original, told = getattr(reconciling, name), []

    def read(addresses: Any, moment: Any) -> Any:
        answers = original(addresses, moment)
        told.append(answers)
        return {address: value + (len(told) == 1) for address, value in answers.items()}

    monkeypatch.setattr(reconciling, name, read)

    report = reconcile()

    assert (report.findings, report.in_motion) == ([], [])
    assert len(told) == 2
