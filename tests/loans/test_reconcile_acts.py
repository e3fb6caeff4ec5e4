"""What a reconciliation does about what stands: whatever else fails or was left out, each by itself, and held."""

import logging
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F

from audit.models import AuditEntry
from chain.models import PlatformWallet, WalletStatus
from loans.models import PartnerLoan, ReconciliationRun, Repayment, SolvencyPosition
from loans.services import follow, freezing, repairs
from loans.services.reconcile import Report, reconcile
from partners.models import Partner, PartnerStatus
from tests.loans.conftest import DOLLAR

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


class TestAlone:
    @pytest.fixture
    def errors(self, caplog) -> Any:
        caplog.set_level(logging.ERROR, logger="partner_platform.core.isolation")
        return lambda: [r.getMessage() for r in caplog.records if r.name == "partner_platform.core.isolation"]

    def test_a_sum_that_the_records_make_negative_is_not_written_and_the_rest_is_repaired(
        self, chain, client, settle, errors
    ):
        """One repayment's principal is far too much: what is derived from it would be less than nothing."""
        client.repay(50 * DOLLAR, "b")
        settle()
        follow.follow_chain()
        Repayment.objects.update(principal_paid=F("principal_paid") + 9_000 * DOLLAR)
        plant(Partner.objects.all(), "total_borrowed")
        before = Partner.objects.get().current_outstanding

        report = twice(chain, repair=True, freeze=True)

        assert [text.split(" is ")[0].split()[-1] for text in report.repaired] == ["total_borrowed"]
        after = Partner.objects.get()
        assert (after.current_outstanding, after.total_borrowed) == (before, 5_070 * DOLLAR)
        assert PartnerLoan.objects.get(partner_loan_id="b").outstanding_principal == 20 * DOLLAR
        [entry] = AuditEntry.objects.filter(action="books.repaired")
        assert list(entry.after) == ["total_borrowed"]
        derived = before - 9_000 * DOLLAR
        finding = f"partner {after.partner_id} current_outstanding is {before}, adds up to {derived}"
        assert f"repairing {finding} failed; the others go on" in errors()
        run = ReconciliationRun.objects.get(number=2)
        assert (run.repaired, run.finding_count) == (False, report.finding_count)
        assert after.status == PartnerStatus.SUSPENDED  # what was left is frozen

    @pytest.mark.parametrize(("act", "module"), [("repair", repairs), ("freeze", freezing)])
    def test_where_the_database_refuses_one_the_others_are_acted_on_and_the_run_is_kept(
        self, chain, client, monkeypatch, errors, act, module
    ):
        plant(Partner.objects.all(), "total_borrowed")
        plant(position(chain), "total_partner_debt")
        original = getattr(module, act)

        def refuse(finding: Any) -> Any:
            if finding.kind == "partner":
                raise IntegrityError("CHECK constraint failed")
            return original(finding)

        monkeypatch.setattr(module, act, refuse)
        report = twice(chain, **{act: True})

        mine = position(chain).get()
        done = {"repair": mine.total_partner_debt == 5_000 * DOLLAR, "freeze": mine.frozen}
        assert (len(report.repaired) + len(report.frozen), done[act]) == (1, True)
        assert Partner.objects.get().total_borrowed == 5_070 * DOLLAR + 7
        assert Partner.objects.get().status == PartnerStatus.ACTIVE
        assert [line.split(" ")[0] for line in errors()] == [f"{act[:6].rstrip('e')}ing"]
        assert ReconciliationRun.objects.get(number=2).finding_count == 2

    def test_a_position_that_cannot_be_thawed_keeps_no_other_frozen(self, chain, client, monkeypatch, errors):
        SolvencyPosition.objects.update(frozen=True, frozen_reason="once")
        refused = position(chain).get()
        original = freezing.record_change

        def record(**entry: Any) -> Any:
            if entry["target"] == f"position:{refused.position_id}":
                raise IntegrityError("no")
            return original(**entry)

        monkeypatch.setattr(freezing, "record_change", record)
        reconcile(repair=True)

        assert list(SolvencyPosition.objects.filter(frozen=True)) == [refused]
        assert errors() == [f"thawing position {refused.position_id} failed; the others go on"]
        assert ReconciliationRun.objects.count() == 1
