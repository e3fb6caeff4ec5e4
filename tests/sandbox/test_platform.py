"""The demo partners as a sandbox opens them: they post to nobody, and their keys may do everything."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User

from authority.rights import Right
from partners import config_file
from partners.management.support import SANDBOX_ACTOR
from partners.models import ApiKey, Partner, Scope
from sandbox import cli, summary
from sandbox.keys import key_pair
from sandbox.platform import open_accounts, open_staff
from sandbox.world import ADMIN, Accounts, SandboxPartner, SandboxUser, World
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


def test_a_maker_and_a_checker_can_approve_each_others_changes_and_keep_their_passwords() -> None:
    made = open_staff(NOBODY, NOBODY)

    assert list(made.staff) == ["maker", "checker"]
    for name, password in made.staff.items():
        user = authenticate(username=name, password=password)
        assert user is not None
        assert (user.is_staff, user.is_superuser, user.has_perm(Right.CHANGE_SETTLEMENT_ADDRESS)) == (True, False, True)
    assert open_staff(NOBODY, made).staff == made.staff
    assert User.objects.count() == 2
    assert len(set(User.objects.values_list("email", flat=True))) == 2


@pytest.mark.parametrize(("arguments", "approvals"), [([], False), (["--approvals"], True)])
def test_the_command_line_says_whether_approvals_are_required(arguments: list[str], approvals: bool) -> None:
    options, _ = cli._parse(arguments)
    assert options.approvals is approvals


def test_the_staff_of_a_sandbox_are_in_its_state_and_known_at_the_next_start(world: World) -> None:
    contracts = {"platformExecutor": "0x" + "e1" * 20}
    users = [SandboxUser("0x" + "a1" * 20, "0x1", 1, 1, 10**10)]
    known_keys = {partner.partner_id: "pk" for partner in world.partners}
    accounts = Accounts(known_keys, "word", {"maker": "m", "checker": "c"})
    told = summary.state(
        world=World(contracts, {}, users, world.partners),
        accounts=accounts,
        base_url="http://127.0.0.1:8000",
        rpc_url="http://127.0.0.1:8545",
        database_url="sqlite:///x",
    )
    assert told["staff"] == [{"username": "maker", "password": "m"}, {"username": "checker", "password": "c"}]
    assert Accounts.from_state(told) == accounts
