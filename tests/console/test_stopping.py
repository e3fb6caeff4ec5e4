"""Stopping by the console: each act asks for a reason, what is lifted is shown first, a form acts once."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import AuditEntry
from loans.models import UserWallet
from partners import selectors
from partners.models import Partner
from tests.factories import PartnerFactory
from tests.support import console as support

pytestmark = pytest.mark.django_db

PARTNERS, PAUSES = "/console/partners/partner/", "/console/partners/borrowingpause/"
WALLETS = "/console/loans/userwallet/"
WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed"))
    return client


def text_of(page: Any) -> str:
    return str(page.content.decode())


def test_a_partner_is_suspended_for_borrowing_widened_and_narrowed_with_reasons(console: Client) -> None:
    partner = PartnerFactory.create()
    support.act(console, PARTNERS, "suspend_borrowing", partner, reason="too many defaults")
    assert "BORROWING" in text_of(console.get(PARTNERS))
    support.act(console, PARTNERS, "suspend", partner, reason="a leaked key")
    told = support.act(console, PARTNERS, "suspend_borrowing", partner, reason="why")
    assert "The partner is suspended for ALL; narrowing that is not a suspension." in text_of(told)
    page = support.act(console, PARTNERS, "narrow_suspension", partner, reason="it may repay")
    assert "is SUSPENDED, because too many defaults | a leaked key" in text_of(page)
    assert "their borrows stay refused" in text_of(page)
    assert Partner.objects.get().suspension_scope == "ALL"  # asked first
    console.post(PARTNERS, support.hidden_fields(page), follow=True)
    row = Partner.objects.get()
    assert (row.status, row.suspension_scope) == ("SUSPENDED", "BORROWING")
    assert row.status_reason == "too many defaults | a leaked key | it may repay"
    page = support.act(console, PARTNERS, "activate", partner)
    assert "is SUSPENDED for BORROWING, because too many defaults" in text_of(page)


def test_new_borrows_are_paused_and_resumed_with_a_reason(console: Client) -> None:
    PartnerFactory.create()
    assert "New borrows are taken" in text_of(console.get(PAUSES))
    pause = selectors.borrowing_pause()
    assert "This field is required" in text_of(support.act(console, PAUSES, "pause_new_borrows", pause))
    assert not Partner.objects.get().borrowing_paused
    support.act(console, PAUSES, "pause_new_borrows", pause, reason="the pool is upgraded")
    assert Partner.objects.get().borrowing_paused
    page = text_of(console.get(PAUSES))
    assert "New borrows are paused" in page
    assert "the pool is upgraded" in page
    support.act(console, PAUSES, "resume_new_borrows", pause, reason="done")
    assert not Partner.objects.get().borrowing_paused
    actions = AuditEntry.objects.order_by("timestamp").values_list("actor", "action")
    assert list(actions) == [("staff:ann", "borrowing.paused"), ("staff:ann", "borrowing.resumed")]


def test_a_wallet_is_blocked_by_its_address_and_taken_off_the_list(console: Client) -> None:
    for form, problem in (
        ({"wallet": "0x1", "reason": "why"}, "Must be an address"),
        ({"wallet": WALLET, "reason": ""}, "This field is required"),
    ):
        assert problem in text_of(support.send(console, f"{WALLETS}add/", form))
    assert not UserWallet.objects.exists()
    form = {"wallet": WALLET.lower(), "reason": "on a list"}
    assert f"{WALLET} is blocked." in text_of(support.send(console, f"{WALLETS}add/", form))
    row = UserWallet.objects.get()
    assert (row.address, row.is_blocked, row.blocked_by) == (WALLET, True, "staff:ann")
    support.send(console, f"{WALLETS}add/", {**form, "reason": "a court order"})  # known already: one reason more
    assert UserWallet.objects.get().block_reason == "on a list | a court order"
    assert "This field is required" in text_of(support.act(console, WALLETS, "unblock", row))
    assert UserWallet.objects.get().is_blocked
    support.act(console, WALLETS, "unblock", row, reason="off the list")
    assert not UserWallet.objects.get().is_blocked
