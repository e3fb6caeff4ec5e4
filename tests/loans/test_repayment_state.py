"""`GET /partners/repayments/{id}`: what became of a repayment, above all of one that failed after it was accepted."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain.lending import deployment
from chain.lending.encoding import Call, encode_call
from chain.rpc.clients import get_client
from loans.models import Repayment
from tests.factories import DOLLAR

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def borrowed(chain, lender, settle):
    assert lender.borrow(chain.users[0], 1_000).status_code == 202
    settle()
    return lender


def withdraw_allowance(chain, index=0):
    """The partner takes back what lets the platform pull its repayments."""
    approve = encode_call("approve(address,uint256)", [chain.addresses["executor"], 0])
    key = chain.world.partners[index].settlement_private_key
    with chain.automine():
        deployment.send(client=get_client(), key=key, calls=[Call(chain.addresses["usdc"], 0, approve)])


def state(lender, repayment_id):
    answer = lender.get(f"/partners/repayments/{repayment_id}")
    return answer.status_code, answer.json()


def why(code, reason):
    return {"failureCode": code, "failureReason": reason}


def test_a_repayment_that_fails_after_its_202_says_which_it_is_and_why(chain, borrowed, settle):
    accepted = borrowed.repay(100 * DOLLAR)
    repayment_id = accepted.json()["repaymentId"]
    assert (accepted.status_code, accepted.headers["Location"]) == (202, f"/partners/repayments/{repayment_id}")
    pending = state(borrowed, repayment_id)
    assert borrowed.loan()["repaymentInFlight"] is True
    withdraw_allowance(chain)
    settle()
    failed = state(borrowed, repayment_id)

    row = Repayment.objects.get()
    what = {
        "repaymentId": str(row.pk),
        "partnerLoanId": "loan-1",
        "internalLoanId": str(row.loan.internal_loan_id),
        "amount": "100000000",
        "txHash": None,
        "repaidBy": "PARTNER",
        "funding": "PULLED",
        "settledAt": None,
        "principalPaid": "0",
        "interestPaid": "0",
        "createdAt": pending[1]["createdAt"],
        "loanStatus": "ACTIVE",
        "evidence": None,  # it was refused before anything was sent
    }
    assert pending == (200, {**what, "status": "PENDING", **why(None, None), "finishedAt": None})
    reason = failed[1]["failureReason"]
    assert reason == row.failure_reason
    assert "Allowance" in reason
    finished = failed[1]["finishedAt"]
    assert finished > what["createdAt"]
    assert failed == (
        200,
        {**what, "status": "FAILED", **why("settlement_failed", reason), "finishedAt": finished},
    )
    loan = borrowed.loan()
    assert (loan["remainingDebt"], loan["repaymentInFlight"]) == (str(1_000 * DOLLAR), False)

    (listed,) = borrowed.get("/partners/my/transactions?type=REPAY").json()["transactions"]
    assert (listed["status"], listed["repaymentId"], listed["failureReason"]) == ("FAILED", repayment_id, reason)
    (drawn,) = borrowed.get("/partners/my/transactions?type=BORROW").json()["transactions"]
    assert (drawn["repaymentId"], drawn["failureReason"]) == (None, None)


def test_a_settled_repayment_tells_what_it_paid_and_by_which_transaction(borrowed, settle):
    repayment_id = borrowed.repay(1_000 * DOLLAR).json()["repaymentId"]
    settle()

    status, told = state(borrowed, repayment_id)

    assert status == 200
    assert (told["status"], told["failureCode"], told["loanStatus"]) == ("SUCCESS", None, "REPAID")
    assert (told["principalPaid"], told["interestPaid"]) == (str(1_000 * DOLLAR), "0")
    assert told["txHash"] == borrowed.loan()["repaymentHistory"][0]["txHash"]
    assert (told["evidence"]["txHash"], told["evidence"]["depth"]) == (told["txHash"], 1)
    assert told["finishedAt"] == told["settledAt"] == borrowed.loan()["repaymentHistory"][0]["timestamp"]


def test_the_answer_of_a_retry_names_the_same_repayment(borrowed, settle):
    body = {"partnerLoanId": "loan-1", "repaymentAmount": "1000000"}
    first = borrowed.post("/partners/repay", body, **{"Idempotency-Key": "k"}).json()
    settle()
    again = borrowed.post("/partners/repay", body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["repaymentId"]) == (200, first["repaymentId"])


def test_another_partner_s_repayment_and_what_is_none_are_not_there(borrowed, make_client, settle):
    other = make_client(1)
    repayment_id = borrowed.repay(100 * DOLLAR).json()["repaymentId"]
    assert state(other, repayment_id)[1]["code"] == "repayment_not_found"
    for wrong in (uuid.uuid4(), "loan-1", repayment_id[:-1], "x" * 300):
        status, told = state(borrowed, wrong)
        assert (status, told["code"]) == (404, "repayment_not_found"), wrong
    status, told = state(borrowed, "%00")
    assert (status, told["code"]) == (404, "not_found")


@pytest.mark.usefixtures("known_blocks_kept")
def test_a_read_of_a_repayment_is_three_queries(borrowed):
    path = f"/partners/repayments/{borrowed.repay(100 * DOLLAR).json()['repaymentId']}"
    borrowed.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert borrowed.get(path).status_code == 200
    tables = ("partners_apikey", "loans_repayment", "audit_apilog")
    statements = [query["sql"] for query in queries.captured_queries]
    assert len(statements) == 3, statements
    assert all(table in statement for table, statement in zip(tables, statements, strict=True)), statements
