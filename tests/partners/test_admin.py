"""The console: a key is on one page once, sums cannot be typed in, nobody is deleted."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from partners import keys, services
from partners.models import ApiKey, Partner, PartnerStatus
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support import console as support
from tests.support.acting import staff

pytestmark = pytest.mark.django_db

LIST = "/console/partners/partner/"
KEY = re.compile(r"pk_[a-z0-9]+_sandbox_[a-z0-9]{32}")
FORM = {**support.NEW_PARTNER, "total_borrow_limit": "200000.5"}


@pytest.fixture
def console(client: Client) -> Client:
    user = User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed")
    client.force_login(user)
    return client


def keys_in(response: Any) -> list[str]:
    return KEY.findall(response.content.decode())


def act(console: Client, action: str, *partners: Partner) -> Any:
    return support.act(console, LIST, action, *partners)


def change_form(partner: Partner, **changes: str) -> dict[str, str]:
    return {
        **FORM,
        "form_token": support.new_token(),
        "partner_name": partner.partner_name,
        "key_label": partner.key_label,
        "daily_borrow_limit": "1000",
        "total_borrow_limit": "5000",
        "platform_fee_percentage": "50",
        "settlement_address": partner.settlement_address,
        "contact_email": partner.contact_email,
        "api_keys-TOTAL_FORMS": "0",
        "api_keys-INITIAL_FORMS": "0",
        **changes,
    }


def test_creating_a_partner_shows_its_key_exactly_once(console: Client) -> None:
    response = support.send(console, f"{LIST}add/", FORM)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    (key,) = keys_in(response)
    partner = Partner.objects.get()
    assert (partner.partner_id, partner.created_by) == ("partner_nlp_001", "staff:ann")
    assert (partner.daily_borrow_limit, partner.total_borrow_limit) == (50_000_000_000, 200_000_500_000)
    assert ApiKey.objects.get().key_hash == keys.hash_key(key)

    for page in (LIST, f"{LIST}{partner.pk}/change/", f"{LIST}{partner.pk}/history/", "/console/", f"{LIST}add/"):
        later = console.get(page)
        assert later.status_code == 200, page
        assert keys_in(later) == []
        assert key[-32:] not in later.content.decode()
    stored = [str(session.get_decoded()) for session in Session.objects.all()]
    told = [*stored, *(str(cookie) for cookie in console.cookies.values())]
    told += [entry.change_message + entry.object_repr for entry in LogEntry.objects.all()]
    assert all(key[-32:] not in text for text in told)


def test_bad_terms_are_told_at_their_fields_and_make_nothing(console: Client) -> None:
    bad = {
        **FORM,
        "key_label": "NLP",
        "daily_borrow_limit": "0",
        "settlement_address": "0xPartnerSettlementWallet1234567890123456",
        "webhook_url": "http://newplatform.com",
        "platform_fee_percentage": "10000",
    }
    response = support.send(console, f"{LIST}add/", bad)
    assert sorted(response.context["adminform"].form.errors) == [
        "daily_borrow_limit",
        "key_label",
        "platform_fee_percentage",
        "settlement_address",
        "webhook_url",
    ]
    assert not Partner.objects.exists()


def test_a_taken_id_is_told_at_its_field(console: Client) -> None:
    taken = PartnerFactory.create()
    response = support.send(console, f"{LIST}add/", {**FORM, "partner_id": taken.partner_id})
    assert "partner_id" in response.context["adminform"].form.errors
    assert Partner.objects.count() == 1


def test_a_changed_limit_goes_through_the_service_and_is_audited(console: Client) -> None:
    partner = PartnerFactory.create(current_outstanding=77)
    form = change_form(partner, daily_borrow_limit="2500.25", current_outstanding="0", status="SUSPENDED")
    response = support.send(console, f"{LIST}{partner.pk}/change/", form, follow=False)
    assert response.status_code == 302, response.context["adminform"].form.errors
    row = Partner.objects.get()
    assert (row.daily_borrow_limit, row.current_outstanding, row.status) == (2_500_250_000, 77, "ACTIVE")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("staff:ann", "partner.updated")
    assert (entry.before, entry.after) == (
        {"dailyBorrowLimit": "1000000000"},
        {"dailyBorrowLimit": "2500250000"},
    )


def test_the_list_shows_limits_in_dollars_and_utilisation(console: Client) -> None:
    PartnerFactory.create(current_outstanding=1_250_500_000)
    text = console.get(LIST).content.decode()
    for shown in ("$1000", "$5000", "$1250.5", "25.0 %"):
        assert shown in text


def confirm(console: Client, page: Any) -> Any:
    """Answer the console's question with all that its page says, as a browser does."""
    return console.post(LIST, support.hidden_fields(page), follow=True)


def test_suspend_and_activate_are_actions(console: Client) -> None:
    partner, other = PartnerFactory.create_batch(2)
    act(console, "suspend", partner, other)
    assert {row.status for row in Partner.objects.all()} == {PartnerStatus.SUSPENDED}
    page = act(console, "activate", partner)
    assert Partner.objects.get(pk=partner.pk).status == PartnerStatus.SUSPENDED  # asked first
    confirm(console, page)
    assert Partner.objects.get(pk=partner.pk).status == PartnerStatus.ACTIVE
    assert Partner.objects.get(pk=other.pk).status == PartnerStatus.SUSPENDED
    assert AuditEntry.objects.filter(actor=staff("ann")).count() == 3


def test_activating_shows_why_and_refuses_where_another_reason_came_after_that(console: Client) -> None:
    partner, other = PartnerFactory.create_batch(2)
    services.suspend_partner(partner=partner, actor=staff("bob"), reason="the contract ran out")
    services.suspend_partner(partner=other, actor=staff("bob"))
    page = act(console, "activate", partner, other)
    assert "is SUSPENDED, because the contract ran out" in page.content.decode()
    services.suspend_partner(partner=partner, actor="system:reconcile", reason="outstanding is 5, adds up to 4")

    told = confirm(console, page).content.decode()

    assert "It changed since it was shown: it is SUSPENDED, because the contract ran out | outstanding is 5" in told
    assert Partner.objects.get(pk=partner.pk).status == PartnerStatus.SUSPENDED
    assert Partner.objects.get(pk=other.pk).status == PartnerStatus.ACTIVE
    confirm(console, act(console, "activate", partner))
    row = Partner.objects.get(pk=partner.pk)
    assert (row.status, row.status_reason) == (PartnerStatus.ACTIVE, "")


def test_activating_without_having_been_shown_anything_is_refused(console: Client) -> None:
    partner = PartnerFactory.create()
    services.suspend_partner(partner=partner, actor=staff("bob"))
    page = support.act(console, LIST, "activate", partner, confirmed="yes")
    assert "It changed since it was shown" in page.content.decode()
    assert Partner.objects.get().status == PartnerStatus.SUSPENDED


@pytest.mark.parametrize(("action", "live"), [("rotate_key_now", 1), ("rotate_key_with_grace", 2)])
def test_rotating_shows_the_new_key_once(console: Client, action: str, live: int) -> None:
    partner = ApiKeyFactory.create().partner
    response = act(console, action, partner)
    assert "no-store" in response["Cache-Control"]
    (key,) = keys_in(response)
    assert ApiKey.objects.filter(revoked_at=None).count() == live
    assert ApiKey.objects.filter(key_hash=keys.hash_key(key), revoked_at=None).exists()
    assert key not in console.get(LIST).content.decode()


def test_rotating_two_partners_at_once_is_refused(console: Client) -> None:
    first, second = ApiKeyFactory.create(), ApiKeyFactory.create()
    response = act(console, "rotate_key_now", first.partner, second.partner)
    assert "Choose one partner: a secret is shown on a page of its own." in response.content.decode()
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


def test_nobody_can_delete_a_partner(console: Client) -> None:
    partner = PartnerFactory.create()
    assert console.post(f"{LIST}{partner.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in console.get(LIST).content.decode()
    assert Partner.objects.count() == 1


def test_strangers_see_the_login_page_only(client: Client) -> None:
    assert client.get(LIST).status_code == 302
    assert client.post(f"{LIST}add/", FORM).status_code == 302
    assert not Partner.objects.exists()


def test_the_record_can_be_read_and_searched_but_not_changed(console: Client) -> None:
    entry = AuditEntry.objects.create(actor=staff("ann"), action="x.y", target="partner:p", before=None, after=None)
    for name in ("auditentry", "apilog"):
        assert console.get(reverse(f"admin:audit_{name}_changelist") + "?q=partner:p").status_code == 200
        assert console.get(reverse(f"admin:audit_{name}_add")).status_code == 403
    change = reverse("admin:audit_auditentry_change", args=[entry.pk])
    assert console.get(change).status_code == 200
    assert console.post(change, {"actor": "staff:eve"}).status_code == 403
