"""Redis is down: what only reads goes on, what moves money is refused before anything is reserved."""

import pytest

from chain.models import Operation
from loans.models import OaidCredit, PartnerLoan, Repayment
from tests.factories import DOLLAR

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis_down(settings):
    def stop() -> None:
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}

    return stop


def test_reads_go_on_borrows_and_repayments_are_503_and_afterwards_nothing_is_missing(
    chain, lender, settle, redis_down, settings
):
    user, caches = chain.users[0], settings.CACHES
    lender.borrow(user, 100)
    settle()

    redis_down()
    borrow, repay = lender.borrow(user, 100, "loan-2"), lender.repay(40 * DOLLAR)
    reads = [
        lender.get("/partners/loan/loan-1"),
        lender.get(f"/partners/user/{user.wallet}/loans"),
        lender.get(f"/partners/public/oaid/{user.oaid_token_id}/credit-line"),
    ]

    for refused in (borrow, repay):
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_unavailable")
        assert refused.json()["retryable"] is True
    assert [read.status_code for read in reads] == [200, 200, 200]
    assert PartnerLoan.objects.count() == 1
    assert not Repayment.objects.exists()
    assert Operation.objects.count() == 1
    assert OaidCredit.objects.get().reserved == 0

    settings.CACHES = caches
    assert lender.borrow(user, 100, "loan-2").status_code == 202
    assert lender.repay(40 * DOLLAR).status_code == 202
    settle()
    assert lender.loan()["remainingDebt"] == "60000000"
