"""Approvals in the console and by a command: a form says that its change waits, a page of its own decides."""

import datetime as dt
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from authority.models import Approval, GlassBreak
from authority.roles import Role
from partner_platform.core import clock
from partners import keys, services
from partners.models import ApiKey, Partner, PartnerStatus, SentForm
from staff.models import ConsoleSession
from tests.factories import DOLLAR, ApiKeyFactory, PartnerFactory
from tests.partners.test_admin import KEY, change_form
from tests.support import console as support
from tests.support.approvals import acting, person, the_approval

pytestmark = pytest.mark.django_db

PARTNERS = "/console/partners/partner/"


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann() -> Client:
    return browser(person("ann"))


@pytest.fixture
def bob() -> Client:
    return browser(person("bob"))


def messages_in(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def decide(client: Client, row: Approval | GlassBreak, decision: str) -> Any:
    path = f"/console/authority/{row._meta.model_name}/{row.pk}/decide/"
    return client.post(path, {"decision": decision, "reason": "seen"}, follow=True)


def test_a_form_whose_change_waits_says_so_saves_nothing_and_another_person_approves_it(
    ann: Client, bob: Client
) -> None:
    partner = PartnerFactory.create(active_loans=2, current_outstanding=49_000 * DOLLAR)
    form = change_form(partner, daily_borrow_limit="2000", total_borrow_limit="5000", reason="their volume doubled")

    response = ann.post(f"{PARTNERS}{partner.pk}/change/", form, follow=True)

    row = the_approval()
    assert messages_in(response) == [
        f"This waits for a second person: approval {row.pk}. Nothing is changed yet.",
    ]
    assert Partner.objects.get().daily_borrow_limit == 1_000 * DOLLAR
    assert SentForm.objects.count() == 0

    page = bob.get(f"/console/authority/approval/{row.pk}/change/").content.decode()
    expected = ("2000000000", "1000000000", "2 active loans, $49,000 outstanding", "their volume doubled", "staff:ann")
    assert [text for text in expected if text not in page] == []
    assert messages_in(decide(ann, row, "approve")) == ["Who asked for a change cannot decide about it"]
    assert messages_in(decide(bob, row, "approve")) == ["It is approved and done."]
    assert Partner.objects.get().daily_borrow_limit == 2_000 * DOLLAR
    assert 'name="decision"' not in bob.get(f"/console/authority/approval/{row.pk}/change/").content.decode()


def test_an_action_whose_change_waits_says_so(ann: Client) -> None:
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    more: dict[str, Any] = {"confirmed": "yes", f"seen_{partner.pk}": "0", "reason": "settled"}

    response = support.act(ann, PARTNERS, "activate", partner, **more)

    row = the_approval()
    assert (row.kind, row.reason) == ("partner.activate", "settled")
    assert f"approval {row.pk}" in messages_in(response)[0]
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED


def test_a_rotation_waits_and_its_key_is_on_the_page_of_who_approves_it_and_on_no_other(
    ann: Client, bob: Client
) -> None:
    old = ApiKeyFactory.create()
    support.act(ann, PARTNERS, "rotate_key_now", old.partner)
    row = the_approval()
    assert ApiKey.objects.count() == 1

    page = decide(bob, row, "approve")

    new = ApiKey.objects.exclude(pk=old.pk).get()
    (key,) = KEY.findall(page.content.decode())
    assert keys.hash_key(key) == new.key_hash
    assert "no-store" in page["Cache-Control"]
    again = decide(bob, row, "approve")
    assert messages_in(again) == ["The approval is APPROVED, decided by staff:bob"]
    assert KEY.findall(again.content.decode()) == []


def test_who_lacks_the_right_of_the_change_looks_and_decides_nothing(ann: Client) -> None:
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    more: dict[str, Any] = {"confirmed": "yes", f"seen_{partner.pk}": "0"}
    support.act(ann, PARTNERS, "activate", partner, **more)
    row = the_approval()
    viewer, nobody = browser(person("vic", Role.VIEWER)), browser(User.objects.create(username="new", is_staff=True))

    assert messages_in(decide(viewer, row, "approve")) == ["This needs the right staff.activate_partners"]
    assert messages_in(decide(viewer, row, "reject")) == ["This needs the right staff.activate_partners"]
    assert decide(nobody, row, "approve").status_code == 404
    assert (the_approval().status, Partner.objects.get().status) == ("WAITING", PartnerStatus.SUSPENDED)


def test_broken_glass_is_reviewed_on_its_page(bob: Client) -> None:
    partner = PartnerFactory.create()
    actor = acting(person("zoe"), break_glass="the bank closes at five")
    services.update_partner(partner=partner, actor=actor, daily_borrow_limit=str(2_000 * DOLLAR))
    row = GlassBreak.objects.get()

    page = bob.get(f"/console/authority/glassbreak/{row.pk}/change/").content.decode()
    assert "the bank closes at five" in page
    assert messages_in(decide(bob, row, "review")) == ["The review is recorded."]
    assert GlassBreak.objects.get().reviewed_by == "staff:bob"


# --- The command --------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("approve", *arguments, stdout=out)
    return out.getvalue()


def test_a_command_shows_the_change_and_approves_or_rejects_it_as_somebody(ann: Client, bob: Client) -> None:
    first, second = PartnerFactory.create(), PartnerFactory.create()
    for partner in (first, second):
        form = change_form(partner, daily_borrow_limit="2000", total_borrow_limit="5000", reason="more")
        ann.post(f"{PARTNERS}{partner.pk}/change/", form)
    one, other = (str(Approval.objects.get(target=f"partner:{partner.partner_id}").pk) for partner in (first, second))

    with pytest.raises(CommandError, match="cannot decide about it"):
        run(one, "--as", "ann", "--reason", "x", "--yes")
    with pytest.raises(CommandError, match="'nobody' is no open account of staff"):
        run(one, "--as", "nobody", "--reason", "x", "--yes")
    said = run(one, "--as", "bob", "--reason", "seen", "--yes")
    assert f"Change a partner's terms: partner:{first.partner_id}, asked for by staff:ann" in said
    assert '  dailyBorrowLimit: "1000000000" -> "2000000000"' in said
    assert "Approved and done." in said
    assert "Rejected" in run(other, "--as", "bob", "--reason", "no", "--reject")

    limits = {partner.pk: partner.daily_borrow_limit // DOLLAR for partner in Partner.objects.all()}
    assert limits == {first.pk: 2_000, second.pk: 1_000}


def test_who_decides_proves_again_who_they_are_where_that_was_some_time_ago(ann: Client, bob: Client) -> None:
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    more: dict[str, Any] = {"confirmed": "yes", f"seen_{partner.pk}": "0"}
    support.act(ann, PARTNERS, "activate", partner, **more)
    row = the_approval()
    bob.get("/console/")
    ConsoleSession.objects.update(proved_at=clock.now() - dt.timedelta(hours=1))

    page = decide(bob, row, "approve")

    assert "step_up_password" in page.content.decode()
    assert (the_approval().status, Partner.objects.get().status) == ("WAITING", PartnerStatus.SUSPENDED)
