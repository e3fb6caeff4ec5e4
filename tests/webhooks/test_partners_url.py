"""The plan's webhookUrl is the partner's first endpoint, whoever changes either, for partners of before too."""

import html
import importlib
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from audit.models import AuditEntry
from partner_platform.core.errors import BadRequest
from partner_platform.core.secrets import crypto
from partners import services, terms
from partners.models import ApiKey, Partner
from tests.factories import ApiKeyFactory, PartnerFactory, open_lender
from tests.support.acting import staff
from tests.support.commands import type_command
from tests.support.console import token_in
from tests.webhooks.making import URL, Caller, endpoint_of
from webhooks.models import Endpoint
from webhooks.secrets import live_secrets

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


def opened(**terms: Any) -> Any:
    lender = {
        "partner_name": "Lender",
        "key_label": "len",
        "daily_borrow_limit": "1",
        "total_borrow_limit": "1",
        "settlement_address": ADDRESS,
        "contact_email": "dev@lender.example",
    }
    return services.create_partner(actor=staff("ann"), **{**lender, **terms})


def live() -> list[tuple[str, bool]]:
    rows = Endpoint.objects.filter(deleted_at=None).order_by("created_at")
    return [(row.url, row.is_partners_url) for row in rows]


def test_a_partner_opened_with_a_url_has_its_endpoint_and_the_secret_is_returned() -> None:
    made = opened(webhook_url=URL)
    row = Endpoint.objects.get()
    assert (row.partner, row.url, row.event_types, row.is_partners_url) == (made.partner, URL, ["*"], True)
    assert live_secrets(row) == [made.webhook_secret]
    entry = AuditEntry.objects.get(action="webhook.endpoint_created")
    assert (entry.actor, entry.target) == ("staff:ann", f"webhook:{row.pk}")
    assert opened(settlement_address="0x" + "5e" * 20).webhook_secret is None
    assert Endpoint.objects.count() == 1


def test_the_command_that_opens_a_partner_shows_both_secrets() -> None:
    said = StringIO()
    values = {"name": "Lender", "label": "len", "daily-limit": "1", "total-limit": "1", "email": "a@lender.example"}
    options = [f"--{name}={value}" for name, value in {**values, "settlement-address": ADDRESS}.items()]
    type_command("create_partner", *options, f"--webhook-url={URL}", stdout=said)
    (secret,) = live_secrets(Endpoint.objects.get())
    assert f"Webhook secret: {secret}\n" in said.getvalue()
    assert "API key: pk_len_sandbox_" in said.getvalue()


WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")


def console_form(console: Client, path: str, **changes: str) -> dict[str, Any]:
    """The form of a partner's page as a browser sends it, with these fields changed."""
    page = console.get(path)
    shown = page.context["adminform"].form
    values = {name: shown[name].value() for name in shown.fields}
    filled = {name: str(shown[name].field.prepare_value(value)) for name, value in values.items() if value}
    keys = {"api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    return {**filled, **keys, "form_token": token_in(page), **changes}


def test_the_console_shows_the_secret_of_a_first_url_once_and_asks_for_none_of_a_changed_one(
    admin_client: Client,
) -> None:
    path = f"/console/partners/partner/{opened().partner.pk}/change/"

    sent = admin_client.post(path, console_form(admin_client, path, webhook_url=URL))
    page = admin_client.get(sent["Location"])

    (secret,) = live_secrets(Endpoint.objects.get())
    assert WEBHOOK_SECRET.findall(html.unescape(page.content.decode())) == [secret]
    again = html.unescape(admin_client.get(sent["Location"]).content.decode())
    assert ("was shown already" in again, WEBHOOK_SECRET.findall(again)) == (True, [])
    changed = admin_client.post(path, console_form(admin_client, path, webhook_url=f"{URL}/2"))
    assert (changed.status_code, changed["Location"]) == (302, "/console/partners/partner/")
    assert live() == [(f"{URL}/2", True)]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_the_import_shows_the_secret_of_a_known_partners_first_url(tmp_path: Path) -> None:
    partner, said = opened().partner, StringIO()
    entry = {"partnerId": partner.partner_id, **terms.as_audited(partner), "webhookUrl": URL}
    path = tmp_path / "partners.json"
    path.write_text(json.dumps({"partners": [{name: value for name, value in entry.items() if value}]}))

    type_command("import_partners", str(path), "--yes", stdout=said)
    (secret,) = live_secrets(Endpoint.objects.get())
    assert f"{partner.partner_id}: terms updated\n  Webhook secret: {secret}\nSave these secrets" in said.getvalue()

    type_command("import_partners", str(path), "--yes", stdout=said)
    assert said.getvalue().count(secret) == 1


def test_the_endpoint_follows_the_terms() -> None:
    partner = opened().partner
    change = lambda url: services.update_partner(partner=partner, actor=staff("ann"), webhook_url=url)  # noqa: E731
    change(URL)
    assert live() == [(URL, True)]
    secret = Endpoint.objects.get().secret
    change(f"{URL}/2")
    assert live() == [(f"{URL}/2", True)]
    assert Endpoint.objects.get().secret == secret
    change("")
    assert live() == []
    endpoint_of(partner, f"{URL}/3")
    change(URL)
    change(f"{URL}/3")  # which is an endpoint already: there is still one for each URL
    assert live() == [(f"{URL}/3", True)]


def test_a_url_of_the_terms_that_is_written_otherwise_is_the_same_endpoint() -> None:
    partner = opened(webhook_url=URL).partner
    change = lambda url: services.update_partner(partner=partner, actor=staff("ann"), webhook_url=url)  # noqa: E731
    change("https://LENDER.example:443/hooks")
    assert live() == [("https://LENDER.example:443/hooks", True)]
    endpoint_of(partner, f"{URL}/3")
    change("https://Lender.example/hooks/3")
    assert live() == [("https://Lender.example/hooks/3", True)]


def test_the_terms_follow_the_endpoint() -> None:
    partner = opened(webhook_url=URL).partner
    call, row = Caller(partner), Endpoint.objects.get()
    assert call("PATCH", f"webhooks/{row.pk}", {"url": f"{URL}/2"}).status_code == 200
    assert Partner.objects.get().webhook_url == f"{URL}/2"
    assert live() == [(f"{URL}/2", True)]
    assert call("DELETE", f"webhooks/{row.pk}").status_code == 204
    assert (Partner.objects.get().webhook_url, live()) == ("", [])
    actors = set(AuditEntry.objects.filter(action="partner.updated").values_list("actor", flat=True))
    assert actors == {f"partner:{partner.partner_id}"}


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/x", "https://[::1]/", "http://lender.example", "https://u@a.example"]
)
def test_a_url_that_nothing_may_be_sent_to_is_refused_in_the_terms_too(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        opened(webhook_url=url)
    assert list(refused.value.details) == ["webhookUrl"]
    assert not Partner.objects.exists()
    assert not Endpoint.objects.exists()


def test_partners_of_before_get_their_endpoint_with_their_secret_once() -> None:
    own = PartnerFactory.create(webhook_url=URL, webhook_secret=crypto.encrypt("whsec_b3duIHNlY3JldA=="))
    new = PartnerFactory.create(webhook_url=f"{URL}/2")
    PartnerFactory.create()
    migration = importlib.import_module("webhooks.migrations.0002_partners_urls_are_endpoints")
    for _ in range(2):
        migration.make_endpoints(apps, None)
    assert sorted(live()) == [(URL, True), (f"{URL}/2", True)]
    assert live_secrets(Endpoint.objects.get(partner=own)) == ["whsec_b3duIHNlY3JldA=="]
    (secret,) = live_secrets(Endpoint.objects.get(partner=new))
    assert (secret[:6], len(secret)) == ("whsec_", 50)


def test_keys_that_could_do_everything_get_the_new_scope_and_narrower_ones_do_not() -> None:
    whole = ApiKeyFactory.create(scopes=["read", "borrow", "repay"])
    narrow = ApiKeyFactory.create(scopes=["read", "repay"])
    migration = importlib.import_module("partners.migrations.0013_webhooks_scope")
    for _ in range(2):
        migration.give_webhooks(apps, None)
    assert ApiKey.objects.get(pk=whole.pk).scopes == ["read", "borrow", "repay", "webhooks"]
    assert ApiKey.objects.get(pk=narrow.pk).scopes == ["read", "repay"]


def test_a_new_key_has_every_scope_but_to_manage_keys() -> None:
    partner, _ = open_lender(ADDRESS)
    assert ApiKey.objects.get(partner=partner).scopes == ["read", "borrow", "repay", "webhooks"]
