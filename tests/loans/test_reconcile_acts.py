"""What a reconciliation does about what stands: whatever else fails or was left out, each by itself, and held."""

import logging
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F

from audit import services as audit_services
from audit.models import AuditEntry
from chain.models import PlatformWallet, WalletStatus
from loans.models import OaidCredit, PartnerLoan, ReconciliationRun, Repayment, SolvencyPosition
from loans.reconciliation import freezing, repairs
from loans.reconciliation.findings import differs
from loans.reconciliation.run import Report, reconcile
from loans.services import follow
from partners.models import Partner, PartnerStatus
from tests.factories import DOLLAR
from tests.support.actors import draw_on_chain

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
        monkeypatch.setattr("loans.reconciliation.findings.MOST_NAMED", 2)

    def test_wrong_loans_hide_neither_a_partner_nor_a_wallet_nor_an_account(self, chain, client):
        PartnerLoan.objects.update(interest_paid=F("interest_paid") + 1, total_repaid=F("total_repaid") + 1)
        plant(PartnerLoan.objects.filter(partner_loan_id="a"), "platform_fee_charged")
        plant(PlatformWallet.objects.all(), "next_nonce")
        plant(Partner.objects.all(), "total_borrowed")

        report = twice(chain, freeze=True)

        assert (report.finding_count, ReconciliationRun.objects.get(number=2).found_by_kind) == (
            8,
            {"loan": 4, "partner": 1, "analytics": 1, "wallet": 1, "account": 1},
        )
        assert [finding.kind for finding in report.findings] == [
            "loan",
            "loan",
            "partner",
            "analytics",
            "wallet",
            "account",
        ]
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
        caplog.set_level(logging.ERROR, logger="partner_platform.core.database.isolation")
        return lambda: [r.getMessage() for r in caplog.records if r.name == "partner_platform.core.database.isolation"]

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

    @pytest.mark.parametrize(
        ("option", "act", "module"), [("repair", "repair_sum", repairs), ("freeze", "freeze_subject", freezing)]
    )
    def test_where_the_database_refuses_one_the_others_are_acted_on_and_the_run_is_kept(
        self, chain, client, monkeypatch, errors, option, act, module
    ):
        plant(Partner.objects.all(), "total_borrowed")
        plant(position(chain), "total_partner_debt")
        original = getattr(module, act)

        def refuse(finding: Any) -> Any:
            if finding.kind == "partner":
                raise IntegrityError("CHECK constraint failed")
            return original(finding)

        monkeypatch.setattr(module, act, refuse)
        report = twice(chain, **{option: True})

        mine = position(chain).get()
        done = {"repair": mine.total_partner_debt == 5_000 * DOLLAR, "freeze": mine.frozen}
        assert (len(report.repaired) + len(report.frozen), done[option]) == (1, True)
        assert Partner.objects.get().total_borrowed == 5_070 * DOLLAR + 7
        assert Partner.objects.get().status == PartnerStatus.ACTIVE
        assert [line.split(" ")[0] for line in errors()] == [f"{act[:6].rstrip('e')}ing"]
        assert ReconciliationRun.objects.get(number=2).finding_count == 2

    def test_a_position_that_cannot_be_thawed_keeps_no_other_frozen(self, chain, client, monkeypatch, errors):
        SolvencyPosition.objects.update(frozen=True, frozen_reason="once")
        refused = position(chain).get()
        original = audit_services.record_change

        def record(**entry: Any) -> Any:
            if entry["target"] == f"position:{refused.position_id}":
                raise IntegrityError("no")
            return original(**entry)

        monkeypatch.setattr(freezing, "record_change", record)
        reconcile(repair=True)

        assert list(SolvencyPosition.objects.filter(frozen=True)) == [refused]
        assert errors() == [f"thawing position {refused.position_id} failed; the others go on"]
        assert ReconciliationRun.objects.count() == 1


def oaid(chain: Any, user: int = 1) -> Any:
    return OaidCredit.objects.filter(oaid_token_id=chain.users[user].oaid_token_id)


def trail(*actions: str) -> list[tuple[str, str, Any]]:
    entries = AuditEntry.objects.filter(action__in=actions).order_by("timestamp", "target")
    return [(entry.action, entry.target, entry.after) for entry in entries]


class TestHeld:
    """A freeze holds: a borrow is refused by the row of the OAID, which may not be there yet."""

    def test_on_a_frozen_position_that_nobody_lent_on_yet_no_loan_is_drawn(self, chain, client):
        user = chain.users[2]
        draw_on_chain(chain, user, 50 * DOLLAR)
        follow.follow_chain()
        assert not oaid(chain, 2).exists()
        plant(position(chain, 2), "pool_principal")

        report = twice(chain, freeze=True)

        refused = client.borrow(user, 100, "refused")
        assert (refused.status_code, refused.json()["code"]) == (409, "position_frozen")
        assert oaid(chain, 2).values_list("reserved", "frozen").get() == (0, True)
        assert not PartnerLoan.objects.filter(partner_loan_id="refused").exists()
        assert report.frozen == [f"position:{user.position_id}"]

    def test_where_a_freeze_did_not_hold_the_next_run_makes_it_hold(self, chain, client):
        mine, credit = position(chain), oaid(chain)
        plant(mine, "pool_principal")
        twice(chain, freeze=True)
        credit.update(frozen=False)
        chain.mine()

        reconcile(freeze=True)

        assert credit.get().frozen is True
        assert len(trail("position.frozen")) == 1  # it was frozen all the time

    def test_on_a_position_without_a_row_no_further_loan_is_drawn(self, chain, client):
        position(chain).delete()

        report = twice(chain, freeze=True)

        assert f"position:{chain.users[1].position_id}" in report.frozen
        assert client.borrow(chain.users[1], 10, "refused").status_code == 409
        assert client.borrow(chain.users[0], 10, "accepted").status_code == 202

    def test_loans_in_flight_of_an_oaid_without_a_row_freeze_it(self, chain, client):
        assert client.borrow(chain.users[0], 3, "moving").status_code == 202
        oaid(chain, 0).delete()

        report = twice(chain, freeze=True)

        assert report.frozen == [f"oaid:{chain.users[0].oaid_token_id}"]
        assert oaid(chain, 0).values_list("reserved", "frozen").get() == (0, True)


class TestLettingGo:
    def frozen(self, chain: Any) -> str:
        """The OAID's reservation is wrong and froze it; how the finding is told."""
        plant(oaid(chain), "reserved")
        report = twice(chain, freeze=True)
        assert report.frozen == [f"oaid:{chain.users[1].oaid_token_id}"]
        assert oaid(chain).get().frozen is True
        return str(report.findings[0])

    def test_an_oaid_is_frozen_and_let_go_with_an_entry_each(self, chain, client):
        why = self.frozen(chain)
        subject = f"oaid:{chain.users[1].oaid_token_id}"
        assert trail("oaid.frozen", "oaid.thawed") == [("oaid.frozen", subject, {"reason": why})]
        chain.mine()

        report = reconcile(freeze=True, repair=True)

        assert (report.repaired, report.frozen) == ([why], [])
        assert oaid(chain).values_list("reserved", "frozen").get() == (0, False)
        assert [action for action, _, _ in trail("oaid.frozen", "oaid.thawed")] == ["oaid.frozen", "oaid.thawed"]
        assert client.borrow(chain.users[1], 10, "again").status_code == 202

    def test_it_is_not_let_go_while_it_is_wrong_nor_by_a_run_that_may_not_repair(self, chain, client):
        oaid(chain).update(frozen=True, reserved=7)
        assert reconcile(repair=True).unconfirmed == 1
        assert oaid(chain).get().frozen is True
        oaid(chain).update(reserved=0)
        chain.mine()

        assert reconcile(freeze=True).findings == []

        assert oaid(chain).get().frozen is True
        assert trail("oaid.thawed") == []

    def test_it_is_not_let_go_while_one_of_its_positions_was_frozen_since_the_look(self, chain, client, monkeypatch):
        mine = position(chain)
        mine.update(frozen=True, frozen_reason="once")
        oaid(chain).update(frozen=True)
        original = freezing.frozen_positions

        def then_frozen_anew() -> Any:
            before = original()
            mine.update(frozen_reason="something else")
            return before

        monkeypatch.setattr(freezing, "frozen_positions", then_frozen_anew)
        reconcile(repair=True)

        assert (mine.get().frozen, oaid(chain).get().frozen) == (True, True)

    def test_it_is_not_let_go_while_one_of_its_positions_is_wrong(self, chain, client):
        """Two positions of one OAID are frozen; one agrees again, the other does not."""
        right, other, credit = position(chain), position(chain, 0), oaid(chain)
        credit.update(frozen=True)
        right.update(frozen=True, frozen_reason="one")
        plant(other, "pool_principal")
        other.update(frozen=True, frozen_reason="two", oaid_token_id=chain.users[1].oaid_token_id)

        reconcile(repair=True)

        assert (right.get().frozen, other.get().frozen, credit.get().frozen) == (False, True, True)
        plant(other, "pool_principal", -7)
        chain.mine()
        reconcile(repair=True)
        assert (other.get().frozen, credit.get().frozen) == (False, False)

    def test_it_is_not_let_go_while_a_position_is_wrong_that_has_no_row(self, chain, client):
        position(chain).delete()
        twice(chain, freeze=True)
        chain.mine()

        reconcile(repair=True)

        assert oaid(chain).get().frozen is True

    def test_one_that_was_frozen_again_since_the_look_is_not_let_go_by_it(self, chain, client, monkeypatch):
        oaid(chain).update(frozen=True)
        original = freezing.frozen_oaids

        def then_frozen_again() -> Any:
            before = original()
            freezing.freeze_subject(differs(f"oaid:{chain.users[1].oaid_token_id}", "reserved", 1, 0)[0])
            return before

        monkeypatch.setattr(freezing, "frozen_oaids", then_frozen_again)
        reconcile(repair=True)
        assert oaid(chain).get().frozen is True

        monkeypatch.undo()
        reconcile(repair=True)
        assert oaid(chain).get().frozen is False

    def test_none_is_let_go_while_wrong_ones_are_not_named(self, chain, client, monkeypatch):
        monkeypatch.setattr("loans.reconciliation.findings.MOST_NAMED", 1)
        OaidCredit.objects.update(frozen=True, reserved=F("reserved") + 7)

        assert reconcile(repair=True).finding_count == 2

        assert set(OaidCredit.objects.values_list("frozen", flat=True)) == {True}
