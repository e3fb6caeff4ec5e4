"""The platform's side of a sandbox: tables, demo partners with keys, a staff user. Needs Django set up.

Idempotent: what `state.json` knows is kept, what is missing is created again.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connections

from authority.roles import Role
from partners import config_file, services
from partners.management.support import SANDBOX_ACTOR
from partners.models import Partner, Scope
from sandbox.keys import key_pair
from sandbox.world import ADMIN, STAFF, Accounts, World
from staff.access.wallets import link_wallet, user_of_wallet


def partner_ids(config: Path) -> list[str]:
    """The demo partners' ids, in the file's order."""
    return [entry["partnerId"] for entry in config_file.read_entries(config)]


def migrate() -> None:
    """Apply the migrations."""
    call_command("migrate", verbosity=0, interactive=False)


def open_accounts(*, config: Path, world: World, known: Accounts) -> Accounts:
    """Import the demo partners with the sandbox's settlement addresses; create a new key or password where it is not
    known.

    `known` is what the last run told.
    """
    api_keys = _import_partners(config, world, known.api_keys)
    password = _admin_password(known.admin_password)
    _link_admins_wallet()
    connections.close_all()
    return Accounts(api_keys, password, known.staff)


def open_staff(accounts: Accounts, known: Accounts) -> Accounts:
    """Two members of staff with the role admin, so that one can approve what the other asks for."""
    group, _ = Group.objects.get_or_create(name=Role.ADMIN)
    staff = {}
    for name in STAFF:
        staff[name] = known.staff.get(name) or secrets.token_urlsafe(12)
        user = User.objects.filter(username=name).first() or User(username=name, email=f"{name}@example.com")
        user.is_staff = True
        user.set_password(staff[name])
        user.save()
        user.groups.add(group)
    connections.close_all()
    return replace(accounts, staff=staff)


def _import_partners(config: Path, world: World, known_keys: dict[str, str]) -> dict[str, str]:
    addresses = {partner.partner_id: partner.settlement_address for partner in world.partners}
    read = config_file.read_entries(config)
    # Without the example's webhookUrl: it is somebody else's, and a sandbox posts to nobody outside.
    entries = [{**_without(entry, "webhookUrl"), "settlementAddress": addresses[entry["partnerId"]]} for entry in read]
    imported = config_file.import_entries(entries, actor=SANDBOX_ACTOR, scopes=Scope.values)
    _forget_urls(imported.updated + imported.unchanged, {entry.get("webhookUrl") for entry in read})
    keys = {partner.partner_id: key for partner, key, _ in imported.created if key is not None}
    for partner in imported.updated + imported.unchanged:
        key = known_keys.get(partner.partner_id)
        keys[partner.partner_id] = key or services.rotate_api_key(partner=partner, actor=SANDBOX_ACTOR)
    return keys


def _without(entry: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key != name}


def _forget_urls(partners: Iterable[Partner], urls: Collection[str | None]) -> None:
    """Of partners that an older sandbox opened with the file's `webhookUrl`."""
    for partner in partners:
        if partner.webhook_url and partner.webhook_url in urls:
            services.update_partner(partner=partner, actor=SANDBOX_ACTOR, webhook_url="")


def _link_admins_wallet() -> None:
    """The staff user may sign in with the wallet whose private key `state.json` has."""
    address = key_pair("admin").address
    if user_of_wallet(address) is None:
        link_wallet(user=User.objects.get(username=ADMIN), address=address, actor=SANDBOX_ACTOR)


def _admin_password(known: str) -> str:
    users = get_user_model()
    user = users.objects.filter(username=ADMIN).first()
    if user is not None and known:
        return known
    password = secrets.token_urlsafe(12)
    user = user or users(username=ADMIN, email="admin@example.com", is_staff=True, is_superuser=True)
    user.set_password(password)
    user.save()
    return password
