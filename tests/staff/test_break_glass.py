"""Who breaks the glass acts at once; every admin is told, and somebody else must look at it within a day."""

import datetime as dt
import logging

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from authority import selectors, tasks
from authority.approvals import glass
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval, GlassBreak
from authority.roles import Role
from partner_platform.core import clock
from partner_platform.core.errors import PlatformError
from partners import services
from partners.models import OutgoingMail, Partner
from tests.factories import DOLLAR, PartnerFactory
from tests.support.approvals import acting, person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


@pytest.fixture
def ann() -> User:
    return person("ann")


def break_glass(user: User, reason: str = "the bank closes at five") -> GlassBreak:
    partner = PartnerFactory.create()
    actor = acting(user, break_glass=reason)
    services.update_partner(partner=partner, actor=actor, daily_borrow_limit=str(2_000 * DOLLAR))
    assert Partner.objects.get(pk=partner.pk).daily_borrow_limit == 2_000 * DOLLAR
    return GlassBreak.objects.get(target=f"partner:{partner.partner_id}")


def review(row: GlassBreak, user: User, note: str = "was needed") -> str:
    try:
        glass.review_glass_break(glass_break_id=row.pk, actor=acting(user), note=note)
    except PlatformError as error:
        return str(error.code)
    return "reviewed"


def test_the_change_is_made_at_once_audited_and_every_admin_is_told(ann: User) -> None:
    person("bob")
    person("carl", Role.CREDIT)
    User.objects.create_superuser("root", "root@platform.example", "a long password indeed")

    row = break_glass(ann)

    assert (row.actor, row.reason, row.reviewed_by) == ("staff:ann", "the bank closes at five", "")
    assert row.review_by - row.created_at == dt.timedelta(hours=24)
    assert Approval.objects.count() == 0
    entry = AuditEntry.objects.get(action="break_glass.used")
    assert (entry.actor, entry.target) == ("staff:ann", f"glassbreak:{row.pk}")
    assert entry.after is not None
    assert (entry.after["reason"], entry.after["after"]) == (
        "the bank closes at five",
        {"dailyBorrowLimit": "2000000000"},
    )
    told = set(OutgoingMail.objects.values_list("recipient", flat=True))
    assert told == {"ann@platform.example", "bob@platform.example", "root@platform.example"}


def test_who_may_not_break_it_changes_nothing(ann: User) -> None:
    credit = person("carl", Role.CREDIT)
    partner = PartnerFactory.create()

    with pytest.raises(PlatformError) as refused:
        services.update_partner(
            partner=partner, actor=acting(credit, break_glass="please"), daily_borrow_limit=str(2_000 * DOLLAR)
        )

    assert refused.value.details == {"right": "staff.break_glass"}
    assert Partner.objects.get().daily_borrow_limit == 1_000 * DOLLAR
    assert (GlassBreak.objects.count(), OutgoingMail.objects.count(), Approval.objects.count()) == (0, 0, 0)


def test_a_reason_of_spaces_is_none_and_changes_nothing(ann: User) -> None:
    partner = PartnerFactory.create()
    with pytest.raises(PlatformError) as refused:
        services.update_partner(
            partner=partner, actor=acting(ann, break_glass=" \n"), daily_borrow_limit=str(2_000 * DOLLAR)
        )
    assert (refused.value.code, refused.value.details) == ("invalid_request", {"breakGlass": ["Say why."]})
    assert Partner.objects.get(pk=partner.pk).daily_borrow_limit == 1_000 * DOLLAR
    assert (GlassBreak.objects.count(), Approval.objects.count()) == (0, 0)


def test_breaking_it_gives_no_other_right() -> None:
    auditor = person("eve", Role.AUDITOR)
    partner = PartnerFactory.create()
    with pytest.raises(PlatformError) as refused:
        services.rotate_api_key(partner=partner, actor=acting(auditor, break_glass="please"))
    assert refused.value.details == {"right": "staff.create_api_keys"}


def test_no_glass_is_broken_where_nothing_would_wait(ann: User, settings: Settings) -> None:
    partner = PartnerFactory.create()
    services.update_partner(partner=partner, actor=acting(ann, break_glass="x"), daily_borrow_limit=str(DOLLAR))
    settings.APPROVALS = "off"
    services.update_partner(partner=partner, actor=acting(ann, break_glass="x"), daily_borrow_limit=str(2_000 * DOLLAR))
    assert GlassBreak.objects.count() == 0


def test_somebody_else_with_the_right_reviews_it_once_with_a_note(ann: User) -> None:
    row = break_glass(ann)
    eve = person("eve", Role.AUDITOR)

    assert review(row, ann) == "self_approval"
    assert review(row, person("ann2", email="ann@platform.example")) == "self_approval"
    assert review(row, person("carl", Role.CREDIT)) == "right_missing"
    assert review(row, eve, note=" ") == "invalid_request"
    assert GlassBreak.objects.get(pk=row.pk).reviewed_by == ""
    assert review(row, eve) == "reviewed"
    assert review(row, person("bob")) == "approval_closed"

    row.refresh_from_db()
    assert (row.reviewed_by, row.review_note) == ("staff:eve", "was needed")
    assert AuditEntry.objects.get(action="break_glass.reviewed").actor == "staff:eve"


def test_a_review_that_is_overdue_is_logged_once_and_counted(ann: User, caplog: pytest.LogCaptureFixture) -> None:
    row, fresh = break_glass(ann), break_glass(ann)
    GlassBreak.objects.filter(pk=row.pk).update(review_by=clock.now())

    with caplog.at_level(logging.ERROR):
        assert (tasks.watch_approvals(), tasks.watch_approvals()) == (1, 0)

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"break-glass by staff:ann is not reviewed: partner.terms of {row.target}" in caplog.text
    assert selectors.count_unreviewed() == {"in_time": 1, "overdue": 1}
    review(row, person("eve", Role.AUDITOR))
    assert selectors.count_unreviewed() == {"in_time": 1, "overdue": 0}
    assert fresh.reviewed_by == ""


def test_approvals_that_nobody_decided_about_are_closed_by_the_clock(ann: User) -> None:
    partner = PartnerFactory.create()
    with pytest.raises(WaitsForApproval):
        services.update_partner(partner=partner, actor=acting(ann), daily_borrow_limit=str(2_000 * DOLLAR))
    assert (tasks.watch_approvals(), selectors.count_waiting()) == (0, 1)
    Approval.objects.update(expires_at=clock.now())

    assert (tasks.watch_approvals(), selectors.count_waiting()) == (1, 0)

    assert Approval.objects.get().status == "EXPIRED"
    assert AuditEntry.objects.get(action="approval.expired").actor == "system:approvals"
