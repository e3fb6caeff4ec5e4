"""Further keys, scopes, ends, signing secrets, the encryption key: services, commands, console."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db import connection
from django.test import Client

from audit.models import AuditEntry
from partner_platform.core import clock
from partner_platform.core.errors import BadRequest
from partner_platform.core.secrets import crypto
from partners import credentials, keys, services
from partners.models import ApiKey, Partner
from tests.factories import ApiKeyFactory, PartnerFactory, partner_with_key
from tests.support import console as support
from tests.support.acting import staff
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"sk_[a-z0-9]+_sandbox_[a-z0-9]{48}")


def call(key: str, method: str = "get") -> Any:
    client = Client()
    send = client.get if method == "get" else client.post
    return send("/partners/whoami", headers={"Authorization": f"Bearer {key}"})


@pytest.mark.urls("tests.partners.urls")
def test_a_key_without_a_scope_is_refused_what_needs_it_and_the_refusal_counts_in_the_rate() -> None:
    partner, _ = partner_with_key()
    key = credentials.create_api_key(partner=partner, actor=staff("ann"), scopes=["read"])
    assert call(key).status_code == 200
    refused = call(key, "post")  # names no scope and is unsafe: asks for a whole key
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert refused.json()["details"] == {"missingScopes": ["borrow", "repay", "webhooks"]}
    assert '"basic";r=98' in refused.headers["RateLimit"]


def test_a_key_is_made_with_scopes_and_an_end_and_told_without_itself() -> None:
    partner = PartnerFactory.create()
    end = clock.now() + dt.timedelta(days=30)
    key = credentials.create_api_key(partner=partner, actor=staff("ann"), scopes=["repay", "read"], expires_at=end)
    row = ApiKey.objects.get()
    assert (row.key_hash, row.scopes, row.expires_at) == (keys.hash_key(key), ["read", "repay"], end)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == ("staff:ann", "partner.api_key_created")
    assert entry.after == {"apiKeyPrefix": row.prefix, "scopes": ["read", "repay"], "expiresAt": clock.isoformat(end)}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["write"]}, "scopes"),
        ({"expires_at": clock.now() - dt.timedelta(seconds=1)}, "expiresAt"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_field(values: Any, field: str) -> None:
    partner = PartnerFactory.create()
    with pytest.raises(BadRequest) as refused:
        credentials.create_api_key(partner=partner, actor=staff("ann"), **values)
    assert list(refused.value.details) == [field]
    assert not ApiKey.objects.exists()


def test_a_third_live_key_is_refused_until_one_is_revoked() -> None:
    first = ApiKeyFactory.create()
    credentials.create_api_key(partner=first.partner, actor=staff("ann"))
    with pytest.raises(BadRequest):
        credentials.create_api_key(partner=first.partner, actor=staff("ann"))
    credentials.revoke_api_key(api_key=first, actor=staff("ann"))
    credentials.revoke_api_key(api_key=first, actor=staff("ann"))
    credentials.create_api_key(partner=first.partner, actor=staff("ann"))
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    assert AuditEntry.objects.filter(action="partner.api_key_revoked").count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_keys_made_at_once_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same millisecond: on MongoDB an update that writes what is there conflicts with nobody's."""
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)
    partner = PartnerFactory.create()

    def create(_: int) -> bool:
        try:
            credentials.create_api_key(partner=partner, actor=staff("ann"))
        except BadRequest:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 2
    assert ApiKey.objects.count() == 2


def test_a_rotated_key_keeps_its_scopes() -> None:
    old = ApiKeyFactory.create(scopes=["read"])
    services.rotate_api_key(partner=old.partner, actor=staff("ann"))
    assert ApiKey.objects.get(revoked_at=None).scopes == ["read"]


def test_signatures_cannot_be_demanded_before_there_is_a_secret() -> None:
    partner = PartnerFactory.create()
    with pytest.raises(BadRequest):
        credentials.set_signing_required(partner=partner, actor=staff("ann"), required=True)
    secret = credentials.rotate_signing_secret(partner=partner, actor=staff("ann"))
    assert credentials.set_signing_required(partner=partner, actor=staff("ann"), required=True).signing_required
    assert not credentials.set_signing_required(partner=partner, actor=staff("ann"), required=False).signing_required
    told = list(AuditEntry.objects.order_by("timestamp").values_list("action", "after"))
    assert sorted(action for action, _ in told) == [
        "partner.signing_required_changed",
        "partner.signing_required_changed",
        "partner.signing_secret_rotated",
    ]
    assert secret not in str(told)


def test_the_encryption_key_is_rotated_by_command_and_the_old_one_can_be_dropped(settings: Any) -> None:
    old, new = settings.FIELD_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    partner = PartnerFactory.create(webhook_secret=crypto.encrypt("whsec"))
    secret = credentials.rotate_signing_secret(partner=partner, actor=staff("ann"))

    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    out = StringIO()
    type_command("rotate_encryption_key", stdout=out)
    settings.FIELD_ENCRYPTION_KEYS = [new]

    row = Partner.objects.get()
    assert crypto.decrypt(row.signing_secret) == secret
    assert crypto.decrypt(row.webhook_secret) == "whsec"
    assert "partners.Partner.signing_secret: 1" in out.getvalue()
    assert "2 secrets are under the first key" in out.getvalue()
    assert AuditEntry.objects.filter(action="platform.encryption_key_rotated").count() == 1
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="dropped"):
        type_command("rotate_encryption_key")


def test_a_signing_secret_is_made_by_command_and_shown_once() -> None:
    partner = PartnerFactory.create()
    out = StringIO()
    type_command("rotate_signing_secret", partner.partner_id, "--require", stdout=out)
    (secret,) = SECRET.findall(out.getvalue())
    row = Partner.objects.get()
    assert crypto.decrypt(row.signing_secret) == secret
    assert row.signing_required


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed"))
    return client


def act(console: Client, action: str, row: Any, model: str = "partner") -> Any:
    return support.act(console, f"/console/partners/{model}/", action, row)


def test_the_console_makes_signing_secrets_and_demands_signatures(console: Client) -> None:
    partner = PartnerFactory.create()
    assert "Make a signing secret first" in act(console, "require_signing", partner).content.decode()
    page = act(console, "rotate_signing_secret_with_grace", partner)
    (secret,) = SECRET.findall(page.content.decode())
    assert "no-store" in page["Cache-Control"]
    act(console, "require_signing", partner)
    row = Partner.objects.get()
    assert (crypto.decrypt(row.signing_secret), row.signing_required) == (secret, True)
    for path in ("/console/partners/partner/", f"/console/partners/partner/{row.pk}/change/"):
        text = console.get(path).content.decode()
        assert secret not in text
        assert row.signing_secret not in text


def test_the_console_says_which_versions_of_signatures_a_partner_may_use(console: Client) -> None:
    partner = PartnerFactory.create()
    assert "version 2 only" in act(console, "refuse_signature_v1", partner).content.decode()
    assert not Partner.objects.get().signature_v1_allowed
    assert "version 1 and 2" in act(console, "allow_signature_v1", partner).content.decode()
    assert Partner.objects.get().signature_v1_allowed
    entries = AuditEntry.objects.filter(action="partner.signature_v1_changed")
    assert {entry.actor for entry in entries} == {"staff:ann"}
    assert len(entries) == 2
    assert "Signature v1 allowed" in console.get(f"/console/partners/partner/{partner.pk}/change/").content.decode()


def test_the_console_makes_narrow_keys_and_revokes_them(console: Client) -> None:
    partner = PartnerFactory.create()
    form = {"partner": str(partner.pk), "scopes": ["read"], "expires_at_0": "2099-01-01", "expires_at_1": "00:00:00"}
    page = support.send(console, "/console/partners/apikey/add/", form)
    (key,) = re.findall(r"pk_[a-z0-9]+_sandbox_[a-z0-9]{32}", page.content.decode())
    row = ApiKey.objects.get()
    assert (row.key_hash, row.scopes, row.expires_at.year) == (keys.hash_key(key), ["read"], 2099)
    listed = console.get("/console/partners/apikey/?q=pk_test")
    assert row.prefix in listed.content.decode()
    for hidden in (key, row.key_hash):
        assert hidden not in listed.content.decode()
        assert hidden not in console.get(f"/console/partners/apikey/{row.pk}/change/").content.decode()
    act(console, "revoke", row, "apikey")
    assert ApiKey.objects.get().revoked_at is not None
    assert console.post(f"/console/partners/apikey/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_console_says_why_a_third_key_was_not_made(console: Client) -> None:
    partner = PartnerFactory.create()
    ApiKeyFactory.create_batch(2, partner=partner)
    form = {"partner": str(partner.pk), "scopes": ["read"], "expires_at_0": "", "expires_at_1": ""}
    page = support.send(console, "/console/partners/apikey/add/", form)
    assert "2 keys are live" in page.content.decode()
    assert ApiKey.objects.count() == 2
