"""`POST /partners/borrow/preview`: what the borrow would be answered, and nothing is written for it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.apps import apps

from audit.models import ApiLog
from chain.lending import readings
from chain.rpc.clients import get_client
from chain.settlement import driver
from loans.models import OaidCredit, PartnerLoan
from partners.models import PartnerDailyUsage
from partners.services import update_partner
from tests.factories import DOLLAR
from tests.support.consent import authorization_for

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> dict[str, list[Any]]:
    """Every row there is, but for what any call leaves: the log's, and when a key was last used."""
    models = [model for model in apps.get_models() if model is not ApiLog]
    found = {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}
    for row in found["Partner"] + found["ApiKey"]:
        row.pop("last_used_at")
    return found


def wanted(user: Any, dollars: int, loan_id: str = "loan-1", **extra: Any) -> dict[str, Any]:
    return {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": str(dollars * DOLLAR),
        "partnerLoanId": loan_id,
        **extra,
    }


def preview(lender: Any, body: dict[str, Any]) -> Any:
    """The preview's answer; whatever it is, nothing was written."""
    before = rows()
    answer = lender.post("/partners/borrow/preview", body)
    assert rows() == before
    return answer


def refusal(answer: Any) -> tuple[int, dict[str, Any]]:
    told = answer.json()
    return answer.status_code, {name: told[name] for name in ("code", "message", "details", "retryable")}


def refused_alike(lender: Any, body: dict[str, Any]) -> str:
    """The code that both the preview and the borrow refuse with, in the same words."""
    previewed, borrowed = preview(lender, body), lender.post("/partners/borrow", body)
    assert refusal(previewed) == refusal(borrowed)
    return str(previewed.json()["code"])


def test_it_tells_what_the_borrow_then_comes_to(chain, lender):
    update_partner(partner=lender.partner, actor="test", platform_fee_percentage=33)
    body = wanted(chain.users[0], 5_000, borrowAmount="5000000001")
    previewed = preview(lender, body)
    assert not PartnerDailyUsage.objects.exists()  # not even the day's empty row
    assert not OaidCredit.objects.exists()

    assert (previewed.status_code, previewed.json()) == (
        200,
        {
            "success": True,
            "borrowAmount": "5000000001",
            "platformFee": "16500000",
            "platformFeeBps": 33,
            "netAmount": "4983500001",
            "settlementAddress": lender.partner.settlement_address,
            "availableCredit": "10000000000",
            "remainingCredit": "4999999999",
            "dailyRemaining": str(95_000 * DOLLAR - 1),
            "totalRemaining": str(495_000 * DOLLAR - 1),
        },
    )
    assert preview(lender, body).json() == previewed.json()  # the loan's id is not used up
    borrowed = lender.post("/partners/borrow", body)
    assert borrowed.status_code == 202
    told, comes_to = previewed.json(), borrowed.json()
    assert (told["platformFee"], told["netAmount"], told["remainingCredit"]) == (
        comes_to["platformFee"],
        comes_to["netAmountTransferred"],
        comes_to["remainingCredit"],
    )
    usage = lender.get("/partners/my/stats").json()["usage"]
    assert (told["dailyRemaining"], told["totalRemaining"]) == (usage["dailyRemaining"], usage["totalRemaining"])


def test_each_refusal_is_the_borrows_own_and_they_come_in_its_order(chain, make_client, settings):
    lender = make_client(daily_borrow_limit=str(1_000 * DOLLAR), total_borrow_limit=str(500 * DOLLAR))
    user, other = chain.users[0], chain.users[1]
    assert lender.borrow(user, 400).status_code == 202

    def alike(dollars: int, loan_id: str = "loan-2", **changes: Any) -> str:
        return refused_alike(lender, wanted(user, dollars, loan_id, **changes))

    assert alike(400, surprise=1) == "invalid_request"
    assert alike(400, borrowAmount="999999") == "loan_below_minimum"
    assert alike(20_000, oaidTokenId=10**6, userWallet=other.wallet) == "oaid_not_found"
    assert alike(20_000, userWallet=other.wallet) == "not_oaid_owner"
    assert alike(9_601) == "insufficient_credit"
    assert alike(601, "loan-1") == "daily_limit_exceeded"
    assert alike(101, "loan-1") == "total_limit_exceeded"
    assert alike(100, "loan-1") == "duplicate_loan_id"
    OaidCredit.objects.update(frozen=True)
    assert alike(9_601) == "position_frozen"
    settings.BORROW_CONSENT = "required"
    assert alike(20_000, oaidTokenId=10**6) == "consent_required"
    assert PartnerLoan.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "loan_id", "code"),
    [
        ({"oaid": {"active": False}}, "loan-1", "credit_line_inactive"),
        ({"position": {"active": False}}, "loan-2", "no_active_position"),
        ({"position": {"active": False}}, "loan-1", "duplicate_loan_id"),
    ],
)
def test_what_the_chain_refuses_a_borrow_for_it_refuses_a_preview_for(
    chain, lender, monkeypatch, changes, loan_id, code
):
    assert lender.borrow(chain.users[0], 100).status_code == 202
    read: Callable[..., Any] = readings.read_backing

    def read_changed(token_id: int) -> Any:
        backing = read(token_id)
        return replace(backing, **{name: replace(getattr(backing, name), **some) for name, some in changes.items()})

    monkeypatch.setattr(readings, "read_backing", read_changed)
    assert refused_alike(lender, wanted(chain.users[0], 100, loan_id)) == code


def test_a_consent_is_checked_and_stays_unused(chain, lender, settings):
    settings.BORROW_CONSENT = "required"
    user, body = chain.users[0], wanted(chain.users[0], 100)
    consented = {**body, "userAuthorization": authorization_for(lender.partner, body, user.private_key)}
    by_another = {**body, "userAuthorization": authorization_for(lender.partner, body, chain.users[1].private_key)}

    assert refused_alike(lender, by_another) == "consent_invalid"
    assert [preview(lender, consented).status_code for _ in range(2)] == [200, 200]
    assert lender.post("/partners/borrow", consented).status_code == 202
    second = wanted(user, 100, "loan-2")
    same_nonce = {**second, "userAuthorization": authorization_for(lender.partner, second, user.private_key)}
    assert refused_alike(lender, same_nonce) == "consent_used"


def test_a_loan_that_landed_but_is_not_settled_in_the_books_is_counted_once(chain, lender):
    user = chain.users[0]
    assert lender.borrow(user, 6_000).status_code == 202
    driver.drive_once()
    chain.mine()
    readings.forget_block()

    assert refused_alike(lender, wanted(user, 4_001, "loan-2")) == "insufficient_credit"
    exact = preview(lender, wanted(user, 4_000, "loan-2")).json()
    assert (exact["availableCredit"], exact["remainingCredit"]) == (str(4_000 * DOLLAR), "0")


def test_a_chain_that_cannot_be_reached_is_503(chain, lender, settings):
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:9"]
    get_client.cache_clear()
    try:
        assert refused_alike(lender, wanted(chain.users[0], 100)) == "chain_unavailable"
    finally:
        get_client.cache_clear()
