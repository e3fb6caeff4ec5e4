"""What a reconciliation does about what stands: whatever else fails or was left out, each by itself, and held."""

from typing import Any

import pytest
from django.db.models import F

from chain.models import PlatformWallet, WalletStatus
from loans.models import PartnerLoan, ReconciliationRun, SolvencyPosition
from loans.services import follow
from loans.services.reconcile import Report, reconcile
from partners.models import Partner, PartnerStatus

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


def plant(rows: Any, name: str, change: int = 7) -> None:
    rows.update(**{name: F(name) + change})


def position(chain: Any, user: int = 1) -> Any:
    return SolvencyPosition.objects.filter(position_id=chain.users[user].position_id)


def twice(chain: Any, **acts: bool) -> Report:
    """Two runs at different blocks; the second, in which what is found stands."""
    reconcile()
    chain.mine()
    return reconcile(**acts)


class TestMoreThanAreNamed:
    @pytest.fixture(autouse=True)
    def two_of_a_kind(self, monkeypatch) -> None:
        monkeypatch.setattr("loans.findings.MOST_KEPT", 2)

    def test_wrong_loans_hide_neither_a_partner_nor_a_wallet_nor_an_account(self, chain, client):
        PartnerLoan.objects.update(interest_paid=F("interest_paid") + 1, total_repaid=F("total_repaid") + 1)
        plant(PartnerLoan.objects.filter(partner_loan_id="a"), "platform_fee_charged")
        plant(PlatformWallet.objects.all(), "next_nonce")
        plant(Partner.objects.all(), "total_borrowed")

        report = twice(chain, freeze=True)

        assert (report.finding_count, ReconciliationRun.objects.get(number=2).found_by_kind) == (
            7,
            {"loan": 4, "partner": 1, "wallet": 1, "account": 1},
        )
        assert [finding.kind for finding in report.findings] == ["loan", "loan", "partner", "wallet", "account"]
        assert PlatformWallet.objects.get().status == WalletStatus.FROZEN
        assert Partner.objects.get().status == PartnerStatus.SUSPENDED

    def test_no_position_is_thawed_while_wrong_ones_are_not_named(self, chain, client):
        """What the books say of positions is compared before what the chain says: the frozen one's finding is last."""
        mine = position(chain)
        plant(mine, "pool_principal")
        assert twice(chain, freeze=True).frozen == [f"position:{mine.get().position_id}"]
        plant(SolvencyPosition.objects.exclude(pk=mine.get().pk), "total_partner_debt")
        chain.mine()

        report = reconcile(repair=True)

        assert report.finding_count == 3
        assert [finding.what for finding in report.findings] == ["total_partner_debt", "total_partner_debt"]
        assert mine.get().frozen is True

    def test_a_run_that_repaired_all_it_names_and_left_out_others_is_none_that_repaired_everything(self, chain, client):
        SolvencyPosition.objects.update(total_partner_debt=F("total_partner_debt") + 1)

        report = twice(chain, repair=True)

        assert (report.finding_count, len(report.repaired)) == (3, 2)
        run = ReconciliationRun.objects.get(number=2)
        assert (run.repaired, run.found_by_kind) == (False, {"position": 3})
        chain.mine()
        assert len(twice(chain, repair=True).repaired) == 1
        assert ReconciliationRun.objects.get(number=4).repaired is True
