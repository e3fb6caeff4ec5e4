"""`GET /partners/platform`: what a partner would else learn from refusals, also while the chain is down."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from loans.consent.message import domain
from tests.factories import partner_with_key

pytestmark = pytest.mark.django_db

USDC, EXECUTOR = "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
OAID, VAULT = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0", "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"
POOL = "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9"


@pytest.fixture
def configured(settings: Any) -> Any:
    """A platform whose node nobody can reach."""
    settings.CHAIN_RPC_URLS = ["http://user:rpc-secret@127.0.0.1:9/rpc-secret"]
    settings.PLATFORM_PRIVATE_KEY = "0x" + "5e" * 32
    settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS = USDC, EXECUTOR
    settings.OAID_ADDRESS, settings.SOLVENCY_VAULT_ADDRESS, settings.SENIOR_POOL_ADDRESS = OAID, VAULT, POOL
    settings.CHAIN_ID, settings.CHAIN_CONFIRMATIONS, settings.MIN_BORROW = 5003, 3, 2_000_000
    settings.BORROW_CONSENT, settings.BORROW_CONSENT_VERSIONS = "required", ["1", "2"]
    return settings


def ask(key: str) -> Any:
    return Client().get("/partners/platform", headers={"Authorization": f"Bearer {key}"})


def test_it_tells_chain_contracts_and_consent_without_a_chain_to_ask(configured: Any) -> None:
    partner, key = partner_with_key()
    answer = ask(key)
    a_domain = {"name": "Partner Platform", "chainId": 5003, "verifyingContract": EXECUTOR}

    assert (answer.status_code, answer.json()) == (
        200,
        {
            "environment": "sandbox",
            "apiVersion": "2026-01-05",
            "apiVersions": ["2026-01-05"],
            "chainId": 5003,
            "confirmations": 3,
            "usdc": USDC,
            "platformAccount": EXECUTOR,
            "executor": EXECUTOR,
            "oaid": OAID,
            "vault": VAULT,
            "pool": POOL,
            "settlementAddress": partner.settlement_address,
            "minimumBorrow": "2000000",
            "consent": {
                "required": True,
                "versions": ["2", "1"],
                "domains": [{**a_domain, "version": "2"}, {**a_domain, "version": "1"}],
            },
        },
    )
    assert answer.json()["consent"]["domains"] == [domain("2"), domain("1")]


def test_nothing_secret_is_in_it(configured: Any) -> None:
    _, key = partner_with_key()
    text = ask(key).content.decode()
    for secret in ("rpc-secret", "127.0.0.1", configured.PLATFORM_PRIVATE_KEY[2:], configured.SECRET_KEY, key):
        assert secret not in text


def test_what_is_not_configured_is_null_and_consent_may_be_optional(configured: Any) -> None:
    for name in ("USDC", "OAID", "SOLVENCY_VAULT", "SENIOR_POOL", "PLATFORM_EXECUTOR"):
        setattr(configured, f"{name}_ADDRESS", "")
    configured.BORROW_CONSENT, configured.BORROW_CONSENT_VERSIONS = "optional", ["2"]
    told = ask(partner_with_key()[1]).json()
    assert [told[name] for name in ("usdc", "platformAccount", "executor", "oaid", "vault", "pool")] == [None] * 6
    assert (told["consent"]["required"], told["consent"]["versions"]) == (False, ["2"])
    assert told["consent"]["domains"][0]["verifyingContract"] is None


def test_it_costs_the_key_and_the_log(configured: Any) -> None:
    _, key = partner_with_key()
    ask(key)
    with CaptureQueriesContext(connection) as queries:
        assert ask(key).status_code == 200
    assert len(queries) == 2, [query["sql"] for query in queries.captured_queries]
