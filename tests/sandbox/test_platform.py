"""The demo partners as a sandbox opens them: they post to nobody, and their keys may do everything."""

import json
from pathlib import Path

import pytest
from django.conf import settings

from partners import config_file
from partners.management.support import SANDBOX_ACTOR
from partners.models import ApiKey, Partner, Scope
from sandbox.keys import key_pair
from sandbox.platform import open_accounts
from sandbox.world import ADMIN, Accounts, SandboxPartner, World
from staff.models import StaffWallet
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG = Path(settings.BASE_DIR) / "configs" / "partner_platforms.json"
ENTRIES = json.loads(CONFIG.read_text())["partners"]
NOBODY = Accounts({}, "")


@pytest.fixture
def world() -> World:
    partners = []
    for entry in ENTRIES:
        pair = key_pair(f"settlement:{entry['partnerId']}")
        partners.append(SandboxPartner(entry["partnerId"], pair.address, pair.private_key))
    return World({}, {}, [], partners)


def test_a_demo_partner_has_no_url_of_somebody_else_and_its_key_every_scope(world: World) -> None:
    assert any(entry.get("webhookUrl") for entry in ENTRIES)

    accounts = open_accounts(config=CONFIG, world=world, known=NOBODY)

    assert set(accounts.api_keys) == {entry["partnerId"] for entry in ENTRIES}
    assert [partner.webhook_url for partner in Partner.objects.all()] == [""] * 2
    assert not Endpoint.objects.exists()
    assert [key.scopes for key in ApiKey.objects.all()] == [Scope.values] * 2


def test_the_staff_user_may_sign_in_with_the_wallet_whose_key_the_state_has(world: World) -> None:
    for _ in range(2):  # a restart changes nothing
        open_accounts(config=CONFIG, world=world, known=NOBODY)

    wallet = StaffWallet.objects.get()
    assert (wallet.user.get_username(), wallet.address) == (ADMIN, key_pair("admin").address)
    assert wallet.linked_by == SANDBOX_ACTOR


def test_a_sandbox_of_before_loses_the_files_url_and_keeps_its_own(world: World) -> None:
    addresses = {partner.partner_id: partner.settlement_address for partner in world.partners}
    entries = [{**entry, "settlementAddress": addresses[entry["partnerId"]]} for entry in ENTRIES]
    own = "https://receiver.example/hooks"
    entries[1]["webhookUrl"] = own
    config_file.import_entries(entries, actor=SANDBOX_ACTOR)

    open_accounts(config=CONFIG, world=world, known=Accounts(dict.fromkeys(addresses, "pk"), "word"))

    assert [row.url for row in Endpoint.objects.filter(deleted_at=None)] == [own]
    assert sorted(Partner.objects.values_list("webhook_url", flat=True)) == ["", own]
