"""The reconciliation beside whatever else goes on: healthy books are never found wrong, frozen or repaired.

Each act is what other workers, partners, users and strangers do all day; it happens between any two reads of the run.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

import pytest

from audit.models import AuditEntry
from chain.lending.encoding import encode_call
from chain.models import PlatformWallet, WalletStatus
from chain.rpc.clients import ChainUnavailable
from chain.settlement import driver
from loans.models import LoanStatus, OaidCredit, PartnerLoan, SolvencyPosition
from loans.reconciliation.comparison import compare_books
from loans.reconciliation.run import reconcile
from loans.services import follow
from loans.services.lifecycle import mark_defaulted
from loans.services.settle import settle_due
from partners.models import Partner, PartnerStatus
from partners.services import update_partner
from sandbox.keys import key_pair
from tests.factories import DOLLAR
from tests.support import books
from tests.support.acting import staff
from tests.support.actors import draw_on_chain, repay_on_chain, send_as, set_interest_rate, transfer_usdc
from tests.support.between_reads import between_reads
from tests.support.wallets import smart_wallet_user

pytestmark = pytest.mark.django_db(transaction=True)


class Others:
    """What goes on: partners with loans on two positions, their users, a stranger, staff, the platform's workers."""

    def __init__(self, chain: Any, first: Any, second: Any) -> None:
        self.chain, self.first, self.second = chain, first, second
        self._number = 0

    def borrow(self, user: int = 0) -> None:
        self._number += 1
        client = (self.first, self.second)[self._number % 2]
        client.borrow(self.chain.users[user], 3, f"meanwhile-{self._number}")

    def land(self) -> None:
        driver.drive_once()
        self.chain.mine()
        driver.drive_once()

    def borrow_elsewhere_to_its_end(self) -> None:
        self.borrow(0)
        self.land()
        settle_due()

    def borrow_on_the_same_position_to_its_end(self) -> None:
        self.borrow(1)
        self.land()
        settle_due()

    def repay(self) -> None:
        self.first.repay(2 * DOLLAR, "a")

    def repay_to_its_end(self) -> None:
        self.repay()
        self.land()
        settle_due()

    def repay_by_a_transfer_to_its_end(self) -> None:
        sender = self.second.partner.settlement_address
        tx_hash = transfer_usdc(self.chain, sender, self.chain.addresses["executor"], 3 * DOLLAR)
        self.second.repay(2 * DOLLAR, "b", repaymentTxHash=tx_hash)
        self.land()
        settle_due()

    def follow(self) -> None:
        follow.follow_chain()

    def dust(self) -> None:
        stranger = self.chain.addresses["deployer"]
        send_as(self.chain, stranger, self.chain.addresses["usdc"], encode_call("mint(address,uint256)", [stranger, 1]))
        transfer_usdc(self.chain, stranger, self.chain.addresses["executor"], 1)

    def dust_and_follow(self) -> None:
        self.dust()
        self.follow()

    def user_repays(self) -> None:
        user = self.chain.users[1]
        repay_on_chain(self.chain, user.wallet, user, DOLLAR)

    def user_repays_and_it_is_followed(self) -> None:
        self.user_repays()
        self.follow()

    def user_draws(self) -> None:
        draw_on_chain(self.chain, self.chain.users[1], DOLLAR)

    def user_draws_and_it_is_followed(self) -> None:
        self.user_draws()
        self.follow()

    def fees_are_withdrawn(self) -> None:
        withdraw = encode_call("withdrawFees(uint256)", [1])
        send_as(self.chain, self.chain.addresses["deployer"], self.chain.addresses["executor"], withdraw)

    def fees_are_withdrawn_and_it_is_followed(self) -> None:
        self.fees_are_withdrawn()
        self.follow()

    def partner_is_changed(self) -> None:
        partner = Partner.objects.get(pk=self.first.partner.pk)
        update_partner(partner=partner, actor=staff("x"), daily_borrow_limit=str(partner.daily_borrow_limit + 1))

    def staff_marks_a_default(self) -> None:
        for loan in PartnerLoan.objects.filter(status=LoanStatus.ACTIVE, partner_loan_id__startswith="meanwhile")[:1]:
            mark_defaulted(loan_id=loan.pk, actor=staff("x"), reason="late")

    def time_passes(self) -> None:
        self.chain.pass_time(86_400)


ACTS = [name for name, value in vars(Others).items() if callable(value) and not name.startswith("_")]


@pytest.fixture
def others(chain, make_client, settle) -> Others:
    set_interest_rate(chain, 500)
    first, second = make_client(0), make_client(1)
    first.borrow(chain.users[1], 5_000, "a")
    second.borrow(chain.users[1], 3_000, "b")
    settle()
    follow.follow_chain()
    assert reconcile(freeze=True).findings == []
    return Others(chain, first, second)


def assert_nothing_was_done() -> None:
    assert set(Partner.objects.values_list("status", flat=True)) == {PartnerStatus.ACTIVE}
    assert set(PlatformWallet.objects.values_list("status", flat=True)) == {WalletStatus.ACTIVE}
    assert not SolvencyPosition.objects.filter(frozen=True).exists()
    assert not OaidCredit.objects.filter(frozen=True).exists()
    assert not AuditEntry.objects.filter(action="books.repaired").exists()


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("name", [name for name in ACTS if name not in ("borrow", "follow", "repay")])
def test_whatever_happens_between_two_reads_is_no_discrepancy(monkeypatch, others, name, quick):
    """The act at the first read, the last, and some in between; then twice more, for what stands is acted on."""
    with between_reads(monkeypatch, lambda _: None) as quiet:
        reconcile(quick=quick)
    places = {1, 2, quiet.count // 4, quiet.count // 2, quiet.count * 3 // 4, quiet.count}

    act: Callable[[], object] = getattr(others, name)
    with between_reads(monkeypatch, lambda point: act if point in places else None) as points:
        beside = reconcile(freeze=True, repair=True, quick=quick)

    assert points.count >= quiet.count
    assert [str(finding) for finding in beside.findings] == []
    assert_nothing_was_done()
    assert reconcile(freeze=True, repair=True, quick=quick).findings == []
    assert books.discrepancies() == []


@pytest.mark.parametrize(("quick", "start"), [(False, 0), (True, 5), (False, 7), (True, 12)])
def test_everything_at_once_at_every_read_is_no_discrepancy(monkeypatch, others, quick, start):
    acts = islice(cycle(ACTS), start, None)
    with between_reads(monkeypatch, lambda _: getattr(others, next(acts))):
        for _ in range(2):
            report = reconcile(freeze=True, repair=True, quick=quick)
            assert [str(finding) for finding in report.findings] == []
    assert_nothing_was_done()


@pytest.mark.parametrize("quarter", range(4))
def test_a_reorg_between_two_reads_is_no_discrepancy(monkeypatch, others, quarter):
    """The block that is compared at is replaced: the run begins again, or leaves it to the next."""
    others.borrow_elsewhere_to_its_end()
    others.user_repays_and_it_is_followed()
    with between_reads(monkeypatch, lambda _: None) as quiet:
        reconcile()
    place = max(quiet.count * quarter // 4, 1)
    reorg = partial(others.chain.rpc, "anvil_reorg", 3, [])

    with between_reads(monkeypatch, lambda point: reorg if point == place else None):
        try:
            assert [str(finding) for finding in reconcile(freeze=True, repair=True).findings] == []
        except ChainUnavailable:
            assert place > 1  # it was replaced under every try

    for _ in range(3):
        others.land()
        settle_due()
        assert [str(finding) for finding in reconcile(freeze=True, repair=True).findings] == []
    assert_nothing_was_done()
    assert books.discrepancies() == []


class TestOpenedLater:
    """A position that was opened above the block which is compared at, and mirrored since."""

    @pytest.fixture
    def opened(self, others) -> Any:
        """It was drawn on for a loan, too, and the watcher has read neither."""
        user = smart_wallet_user(others.chain, key_pair("someone"))
        assert others.first.borrow(user, 100, "new").status_code == 202
        others.land()
        settle_due()
        assert SolvencyPosition.objects.filter(position_id=user.position_id).exists()
        return user

    def test_is_no_finding(self, opened):
        found = compare_books(None)

        assert found.moment.block_number < SolvencyPosition.objects.get(position_id=opened.position_id).synced_block
        assert [str(finding) for finding in found.findings] == []

    def test_one_that_the_chain_does_not_have_is_found_once_the_watcher_is_there(self, others):
        row = SolvencyPosition.objects.get(position_id=others.chain.users[2].position_id)
        row.pk, row.position_id, row.synced_block = uuid4(), 10**9, others.chain.block_number() + 1
        row.save(force_insert=True)
        assert list(compare_books(None).findings) == []

        others.chain.mine()
        others.follow()

        assert [(finding.subject, finding.what, finding.actual) for finding in compare_books(None).findings] == [
            (f"position:{10**9}", "existence", "not on the chain")
        ]
