"""Wallets and sessions of staff in the console."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from partner_platform.core.errors import Unauthorized
from sandbox.keys import key_pair
from staff.access import tokens
from staff.models import ApiSession, StaffWallet
from tests.support.acting import group_of
from tests.support.console import new_token
from tests.support.signing_in import member, tokens_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counts")]

WALLETS, ADD = "/console/staff/staffwallet/", "/console/staff/staffwallet/add/"
ADDRESS = key_pair("admin").address


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def superuser() -> Client:
    return browser_of(User.objects.create_superuser("eve", password="x"))


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("timestamp").values_list("action", flat=True))


def test_a_superuser_links_a_wallet_and_unlinks_it(ann: User, superuser: Client) -> None:
    added = superuser.post(ADD, {"user": str(ann.pk), "address": ADDRESS.lower()})
    assert added.status_code == 302
    wallet = StaffWallet.objects.get()
    assert (wallet.user, wallet.address, wallet.linked_by) == (ann, ADDRESS, "staff:eve")
    again = superuser.post(ADD, {"user": str(ann.pk), "address": ADDRESS})
    assert b"already exists" in again.content
    wrong = superuser.post(ADD, {"user": str(ann.pk), "address": "0x" + ADDRESS[2:].swapcase()})
    assert b"wrong EIP-55 checksum" in wrong.content
    assert superuser.post(f"{WALLETS}{wallet.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not StaffWallet.objects.exists()
    assert actions() == ["staff.wallet_linked", "staff.wallet_unlinked"]


def test_an_admin_who_is_no_superuser_looks_at_wallets_and_links_none(ann: User) -> None:
    admin = member("adam")
    admin.groups.add(group_of("admin"))
    browser = browser_of(admin)
    assert browser.get(WALLETS).status_code == 200
    assert browser.post(ADD, {"user": str(admin.pk), "address": ADDRESS}).status_code == 403
    assert not StaffWallet.objects.exists()


def test_who_manages_staff_ends_a_session_there(ann: User) -> None:
    admin = member("adam")
    admin.groups.add(group_of("admin"))
    pair, session = tokens_of(ann), ApiSession.objects.get()
    data = {"action": "end_these", "_selected_action": [str(session.pk)], "index": "0", "form_token": new_token()}
    for _ in range(2):  # the second time there is nothing to end
        assert browser_of(admin).post(reverse("admin:staff_apisession_changelist"), data).status_code == 302
    with pytest.raises(Unauthorized):
        tokens.read_access_token(pair.access)
    entry = AuditEntry.objects.get(action="staff.session_ended")
    assert (entry.actor, entry.target) == ("staff:adam", "staff:ann")
    assert entry.after == {"door": "api", "session": str(session.pk), "because": "ended by staff"}
