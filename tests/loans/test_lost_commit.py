"""The connection to the database is lost in a commit: nobody knows whether it was done, and the answer says so.

Asked again with the same id there is one loan, one repayment, paid once.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from loans import selectors
from loans.models import PartnerLoan, Repayment
from loans.services import borrow, repay
from partner_platform.core.errors import OUTCOME_UNKNOWN
from partners.models import IdempotencyKey
from tests.factories import DOLLAR

pytestmark = pytest.mark.django_db(transaction=True)

Cut = Callable[[Any, str], None]


@pytest.fixture(params=["done", "not done"])
def was_done(request: pytest.FixtureRequest) -> bool:
    """Whether the commit in which the connection is lost had been done."""
    return bool(request.param == "done")


@pytest.fixture
def cut_after(monkeypatch: pytest.MonkeyPatch, was_done: bool) -> Cut:
    """Lose the connection in the commit of the transaction in which this function is called, once."""

    def arm(module: Any, name: str) -> None:
        original = getattr(module, name)
        wrapper: Any = connection
        commit = wrapper._commit

        def commit_and_lose() -> None:
            wrapper._commit = commit
            if was_done:
                commit()
            _lose(wrapper)
            raise OperationalError("server closed the connection unexpectedly")

        def act(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(module, name, original)
            wrapper._commit = commit_and_lose
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, act)

    return arm


def _lose(wrapper: Any) -> None:
    """What was not committed the server rolls back when the connection ends."""
    if wrapper.vendor == "mongodb":
        wrapper._rollback()
    else:
        wrapper.connection.close()


def demand_open(answer: Any) -> None:
    """503 that claims nothing which nobody knows, and says what to do."""
    body = answer.json()
    assert (answer.status_code, body["code"], body["retryable"]) == (503, "database_unavailable", True)
    assert answer.headers["Retry-After"] == "2"
    assert body["message"] == OUTCOME_UNKNOWN
    assert "nothing" not in body["message"]
    for word in ("not known", "same Idempotency-Key is safe", "for a borrow also"):
        assert word in body["message"]


class TestABorrow:
    def test_asked_again_with_its_partner_loan_id_is_one_loan(self, chain, lender, settle, cut_after, was_done):
        user, settlement = chain.users[0], lender.partner.settlement_address
        before = chain.usdc_balance(settlement)
        cut_after(borrow, "open_loan")

        demand_open(lender.borrow(user, 1_000))
        again = lender.borrow(user, 1_000)

        if was_done:
            assert (again.status_code, again.json()["code"]) == (409, "duplicate_loan_id")
        else:
            assert again.status_code == 202
        settle()
        assert lender.loan()["status"] == "ACTIVE"
        assert PartnerLoan.objects.count() == 1
        assert chain.usdc_balance(settlement) - before == 995 * DOLLAR
        assert chain.debt(user.position_id) == 1_000 * DOLLAR

    def test_asked_again_with_its_key_is_one_loan(self, chain, lender, settle, cut_after, was_done):
        key = {"Idempotency-Key": "one"}
        cut_after(borrow, "open_loan")

        demand_open(_post_borrow(lender, chain.users[0], key))
        again = _post_borrow(lender, chain.users[0], key)

        assert again.status_code == 202
        assert ("Idempotent-Replayed" in again.headers) is was_done
        settle()
        assert _post_borrow(lender, chain.users[0], key).status_code == 201
        assert PartnerLoan.objects.count() == IdempotencyKey.objects.count() == 1
        assert chain.debt(chain.users[0].position_id) == 1_000 * DOLLAR


class TestARepayment:
    def test_asked_again_with_its_key_is_one_repayment(self, chain, lender, settle, cut_after, was_done):
        lender.borrow(chain.users[0], 1_000)
        settle()
        body, key = {"partnerLoanId": "loan-1", "repaymentAmount": str(400 * DOLLAR)}, {"Idempotency-Key": "two"}
        cut_after(repay, "open_repayment")

        demand_open(lender.post("/partners/repay", body, **key))
        settle()
        again = lender.post("/partners/repay", body, **key)
        settle()

        assert again.status_code == (200 if was_done else 202)
        assert lender.post("/partners/repay", body, **key).status_code == 200
        assert Repayment.objects.count() == 1
        assert lender.loan()["remainingDebt"] == str(600 * DOLLAR)
        assert chain.debt(chain.users[0].position_id) == 600 * DOLLAR

    def test_without_a_key_it_is_not_retryable_for_a_second_one_is_another_payment(
        self, chain, lender, settle, cut_after, was_done
    ):
        lender.borrow(chain.users[0], 1_000)
        settle()
        cut_after(repay, "open_repayment")

        answer = lender.repay(400 * DOLLAR)

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.json()["retryable"] is False
        assert "read the loan first" in answer.json()["message"]
        settle()
        assert Repayment.objects.count() == int(was_done)


def test_a_connection_lost_after_the_acceptance_leaves_it_open_too(chain, lender, settle, monkeypatch):
    """The loan is accepted; the request only waits for its settlement."""

    def lose(_: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(selectors, "borrow_outcome", lose)
        answer = lender.post("/partners/borrow", _borrow_body(chain.users[0]), Prefer="wait=5")
    demand_open(answer)

    assert lender.borrow(chain.users[0], 1_000).json()["code"] == "duplicate_loan_id"
    settle()
    assert lender.loan()["status"] == "ACTIVE"
    assert PartnerLoan.objects.count() == 1


def test_a_read_says_no_more_than_that_the_database_cannot_be_reached(lender, monkeypatch):
    def lose(**_: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(selectors, "get_loan", lose)
    headers = {"Authorization": f"Bearer {lender.key}"}
    answer = Client(raise_request_exception=False).get("/partners/loan/loan-1", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (503, "The database cannot be reached")


def _borrow_body(user: Any) -> dict[str, Any]:
    return {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": str(1_000 * DOLLAR),
        "partnerLoanId": "loan-1",
    }


def _post_borrow(lender: Any, user: Any, headers: dict[str, str]) -> Any:
    return lender.post("/partners/borrow", _borrow_body(user), **headers)
