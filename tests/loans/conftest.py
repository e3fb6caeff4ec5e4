"""A partner with a key, a client that speaks for it, and the settlement driven by hand on the real chain."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from chain.settlement import driver
from loans.funding import early_deposits
from loans.objects import recent_blocks
from loans.services.settle import settle_due
from partners.models import Partner
from tests.factories import DOLLAR, open_lender
from tests.support import books
from tests.support.chain import Chain


@dataclass(frozen=True)
class PartnerClient:
    """A partner's backend: JSON in, JSON out, never waiting for the settlement."""

    partner: Partner
    key: str

    def get(self, path: str) -> Any:
        return Client().get(path, headers={"Authorization": f"Bearer {self.key}"})

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return Client(raise_request_exception=False).post(
            path,
            data=body if isinstance(body, str | bytes) else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.key}", "Prefer": "respond-async", **headers},
        )

    def borrow(self, user: Any, dollars: int, loan_id: str = "loan-1", **extra: Any) -> Any:
        body = {
            "oaidTokenId": user.oaid_token_id,
            "userWallet": user.wallet,
            "borrowAmount": str(dollars * DOLLAR),
            "partnerLoanId": loan_id,
            **extra,
        }
        return self.post("/partners/borrow", body)

    def repay(self, base_units: int, loan_id: str = "loan-1", **extra: Any) -> Any:
        body = {"partnerLoanId": loan_id, "repaymentAmount": str(base_units), **extra}
        return self.post("/partners/repay", body)

    def loan(self, loan_id: str = "loan-1") -> Any:
        return self.get(f"/partners/loan/{loan_id}").json()


@pytest.fixture
def make_client(chain: Chain) -> Callable[..., PartnerClient]:
    """A partner at one of the chain's settlement addresses, which has funds and gave its allowance."""

    def make(index: int = 0, **terms: Any) -> PartnerClient:
        address = terms.pop("settlement_address", chain.world.partners[index].settlement_address)
        partner, key = open_lender(address, number=index, **terms)
        early_deposits.note_new()  # as the beat does within two seconds
        return PartnerClient(partner, key)

    return make


@pytest.fixture
def lender(make_client: Callable[..., PartnerClient]) -> PartnerClient:
    """A partner with $100,000 a day, $500,000 in all, 0.5 % fee."""
    return make_client()


@pytest.fixture
def known_blocks_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far the chain is known is read once in this test, however long it takes: for tests that count queries."""
    monkeypatch.setattr(recent_blocks, "MAX_AGE_SECONDS", 600.0)


@pytest.fixture
def settle(chain: Chain) -> Callable[[], None]:
    """Drive everything that is accepted to its end: send, mine, confirm, settle; then the books must add up."""

    def run() -> None:
        live = True
        while live:
            driver.drive_once()
            chain.mine()
            live = driver.drive_once().live
            settle_due()
        assert books.discrepancies() == []

    return run
