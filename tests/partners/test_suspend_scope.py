"""A partner that is suspended for borrowing alone: what it may, who may change that, and what is told of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from audit.models import AuditEntry
from authority.rights import Right
from events.models import Event
from loans.reconciliation.findings import BooksFinding
from loans.reconciliation.freezing import freeze_subject
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, Forbidden
from partners import limits, selectors, services
from partners.models import OutgoingMail, Partner, PartnerStatus, SuspensionScope
from partners.rules import require_active, status_of
from tests.factories import DOLLAR, PartnerFactory, partner_with_key
from tests.support.acting import staff

BORROWING, ALL = SuspensionScope.BORROWING, SuspensionScope.ALL
BORROW = {"oaidTokenId": 1, "userWallet": "0x" + "ab" * 20, "borrowAmount": "5000000", "partnerLoanId": "l-1"}
REPAY = {"partnerLoanId": "nowhere", "repaymentAmount": "5000000"}


def suspend(partner: Partner, scope: str = BORROWING, reason: str = "") -> Partner:
    return services.suspend_partner(partner=partner, actor=staff("ann"), scope=scope, reason=reason)


def state(partner: Partner) -> tuple[str, str, str]:
    row = Partner.objects.get(pk=partner.pk)
    return row.status, row.suspension_scope, row.status_reason


def post(path: str, key: str, body: object) -> Any:
    return Client().post(path, body, content_type="application/json", headers={"Authorization": f"Bearer {key}"})


@pytest.mark.django_db
def test_it_reads_and_repays_and_its_borrows_and_previews_are_refused() -> None:
    partner, key = partner_with_key()
    suspend(partner)
    for path in ("/partners/borrow", "/partners/borrow/preview"):
        answer = post(path, key, BORROW)
        assert (answer.status_code, answer.json()["code"]) == (403, "partner_not_active")
        assert answer.json()["details"] == {"scope": "BORROWING"}
        assert answer.json()["message"] == "Partner account is suspended for borrowing; it may still read and repay"
    assert Client().get("/partners/loans", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert post("/partners/repay", key, REPAY).json()["code"] == "loan_not_found"  # it was heard


@pytest.mark.django_db
def test_suspended_for_all_every_call_is_refused() -> None:
    partner, key = partner_with_key()
    services.suspend_partner(partner=partner, actor=staff("ann"))
    answers = [Client().get("/partners/loans", headers={"Authorization": f"Bearer {key}"})]
    answers += [post("/partners/borrow", key, BORROW), post("/partners/repay", key, REPAY)]
    told = [(one.status_code, one.json()["code"], one.json()["details"]) for one in answers]
    assert told == [(403, "partner_not_active", {"scope": "ALL"})] * 3
    assert answers[0].json()["message"] == "Partner account is suspended"


@pytest.mark.django_db
def test_an_inactive_partner_is_refused_without_a_scope() -> None:
    with pytest.raises(Forbidden, match=r"^Partner account is inactive$") as refused:
        require_active(PartnerFactory.build(status=PartnerStatus.INACTIVE), borrows=False)
    assert refused.value.details == {}


@pytest.mark.django_db
def test_its_keys_stay_known_so_that_its_calls_are_no_strangers() -> None:
    partner, _ = partner_with_key()
    other, _ = partner_with_key()
    suspend(partner)
    suspend(other, ALL)
    assert len(selectors.live_key_hashes()) == 1
    assert selectors.active_partners() == [Partner.objects.get(pk=partner.pk)]


@pytest.mark.django_db
def test_the_trail_the_event_and_the_mail_name_the_scope() -> None:
    partner = PartnerFactory.create(partner_id="partner_a")
    suspend(partner, reason="too many defaults")
    entry = AuditEntry.objects.get(action="partner.suspended")
    assert (entry.before, entry.after) == (
        {"status": "ACTIVE"},
        {"status": "SUSPENDED", "scope": "BORROWING", "reason": "too many defaults"},
    )
    assert '"scope":"BORROWING"' in Event.objects.get().body.replace(" ", "")
    mail = OutgoingMail.objects.get()
    assert mail.subject == "partner_a is suspended for borrowing"
    assert "Its borrows are refused with 403 partner_not_active. Its other calls are answered" in mail.text
    assert status_of(Partner.objects.get()) == "SUSPENDED for BORROWING"


@pytest.mark.django_db
def test_widening_is_suspending_and_keeps_the_reasons() -> None:
    partner = PartnerFactory.create()
    suspend(partner, reason="too many defaults")
    services.suspend_partner(partner=partner, actor=staff("bob", [Right.SUSPEND_PARTNERS]), reason="a leaked key")
    assert state(partner) == ("SUSPENDED", "ALL", "too many defaults | a leaked key")
    assert Event.objects.count() == 2  # told of both
    suspend(partner, ALL, "a leaked key")
    assert (Event.objects.count(), AuditEntry.objects.count()) == (2, 2)  # nothing changed: nothing told


@pytest.mark.django_db
@pytest.mark.parametrize("status", [PartnerStatus.SUSPENDED, PartnerStatus.INACTIVE])
def test_suspending_for_borrowing_never_lifts_what_is_wider(status: str) -> None:
    partner = PartnerFactory.create(status=status)
    with pytest.raises(BadRequest) as refused:
        suspend(partner)
    assert (refused.value.code, list(refused.value.details)) == (ErrorCode.INVALID_REQUEST, ["scope"])
    assert state(partner) == (status, "ALL", "")
    with pytest.raises(BadRequest, match=r"^scope: Must be one of ALL, BORROWING"):
        suspend(partner, "READING")
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_narrowing_needs_the_right_to_activate_and_keeps_why() -> None:
    partner = PartnerFactory.create()
    seen = suspend(partner, ALL, "a leaked key").status_changes
    with pytest.raises(Forbidden, match=r"staff\.activate_partners"):
        services.narrow_suspension(partner=partner, actor=staff("bob", [Right.SUSPEND_PARTNERS]))
    with pytest.raises(BadRequest, match=r"^It changed since it was shown: it is SUSPENDED, because a leaked key"):
        services.narrow_suspension(partner=partner, actor=staff("ann"), seen=seen - 1)
    assert state(partner)[1] == "ALL"
    services.narrow_suspension(partner=partner, actor=staff("ann"), reason="it may repay", seen=seen)
    assert state(partner) == ("SUSPENDED", "BORROWING", "a leaked key | it may repay")
    entry = AuditEntry.objects.get(action="partner.suspension_narrowed")
    assert entry.before == {"status": "SUSPENDED", "scope": "ALL", "reason": "a leaked key"}
    services.activate_partner(partner=partner, actor=staff("ann"))
    assert state(partner) == ("ACTIVE", "ALL", "")
    with pytest.raises(BadRequest, match=r"^The partner is ACTIVE, not suspended$"):
        services.narrow_suspension(partner=partner, actor=staff("ann"))


@pytest.mark.django_db
def test_books_that_are_wrong_stop_it_wholly() -> None:
    partner = PartnerFactory.create(partner_id="partner_a")
    suspend(partner)
    freeze_subject(BooksFinding("partner:partner_a", "outstanding", "5", "4"))
    assert state(partner)[:2] == ("SUSPENDED", "ALL")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", [ALL, BORROWING])
def test_a_borrow_that_is_being_accepted_is_refused_or_was_accepted_before(scope: str) -> None:
    partner = PartnerFactory.create(daily_borrow_limit=10**15, total_borrow_limit=10**15)
    day = clock.today()
    limits.ensure_day(partner_id=partner.pk, day=day)
    after: list[int] = []

    def borrow(_: int) -> bool:
        try:
            run_in_transaction(lambda: limits.reserve_limits(partner_id=partner.pk, amount=DOLLAR, day=day))
        except Forbidden as refused:
            return refused.details != {"scope": scope}
        finally:
            connection.close()
        return True

    def stop(_: int) -> bool:
        try:
            suspend(partner, scope)
            after.append(Partner.objects.get(pk=partner.pk).current_outstanding)
        finally:
            connection.close()
        return False

    with ThreadPoolExecutor(8) as pool:
        accepted = sum(pool.map(lambda number: (stop if number == 4 else borrow)(number), range(24)))
    assert after == [accepted * DOLLAR] == [Partner.objects.get(pk=partner.pk).current_outstanding]


@pytest.mark.django_db
def test_the_commands_take_and_name_the_scope(capsys: pytest.CaptureFixture[str]) -> None:
    partner = PartnerFactory.create(partner_id="partner_a")
    call_command("suspend_partner", "partner_a", "--scope=BORROWING", "--reason=a drill")
    assert state(partner) == ("SUSPENDED", "BORROWING", "a drill")
    call_command("suspend_partner", "partner_a")
    with pytest.raises(CommandError, match=r"^--scope: The partner is suspended for ALL"):
        call_command("suspend_partner", "partner_a", "--scope=BORROWING")
    with pytest.raises(CommandError, match=r"^It is SUSPENDED, because a drill\. Say --yes"):
        call_command("narrow_suspension", "partner_a")
    call_command("narrow_suspension", "partner_a", "--yes")
    with pytest.raises(CommandError, match=r"^It is SUSPENDED for BORROWING, because a drill\. Say --yes"):
        call_command("activate_partner", "partner_a")
    assert capsys.readouterr().out.splitlines() == [
        "partner_a is suspended for borrowing.",
        "partner_a is suspended.",
        "partner_a may read and repay, and not borrow.",
    ]
