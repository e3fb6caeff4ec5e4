"""The plan's webhookUrl is the partner's first endpoint, whoever changes either, for partners of before too."""

import importlib
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command

from audit.models import AuditEntry
from partner_platform.core.errors import BadRequest
from partner_platform.core.secrets import crypto
from partners import services
from partners.models import ApiKey, Partner
from tests.factories import ApiKeyFactory, PartnerFactory, open_lender
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
    return services.create_partner(actor="staff:ann", **{**lender, **terms})


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
    call_command("create_partner", *options, f"--webhook-url={URL}", stdout=said)
    (secret,) = live_secrets(Endpoint.objects.get())
    assert f"Webhook secret: {secret}\n" in said.getvalue()
    assert "API key: pk_len_sandbox_" in said.getvalue()


def test_the_endpoint_follows_the_terms() -> None:
    partner = opened().partner
    change = lambda url: services.update_partner(partner=partner, actor="staff:ann", webhook_url=url)  # noqa: E731
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
    change = lambda url: services.update_partner(partner=partner, actor="staff:ann", webhook_url=url)  # noqa: E731
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
