"""Repaying: who pays, how much, and that it is never taken twice."""

import pytest

from chain.models import FundingTransfer, Operation
from loans.models import Repayment
from partners.models import Partner, RepaymentFunding
from tests.factories import DOLLAR
from tests.support.actors import approve_usdc, set_operator, transfer_usdc

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def borrowed(chain, lender, settle):
    """A settled loan of $1000 of the first user."""
    assert lender.borrow(chain.users[0], 1_000).status_code == 202
    settle()
    return lender


def test_a_repayment_without_a_hash_is_pulled_from_the_settlement_address_and_closes_the_loan(chain, borrowed, settle):
    settlement, executor = borrowed.partner.settlement_address, chain.addresses["executor"]
    before = chain.usdc_balance(settlement), chain.usdc_balance(executor)

    answer = borrowed.repay(1_000 * DOLLAR)
    settle()

    assert answer.status_code == 202
    assert answer.json()["status"] == "PENDING"
    assert before[0] - chain.usdc_balance(settlement) == 1_000 * DOLLAR
    assert chain.usdc_balance(executor) == before[1]
    loan = borrowed.loan()
    assert (loan["status"], loan["remainingDebt"], loan["totalRepaid"]) == ("REPAID", "0", "1000000000")
    assert loan["repaymentHistory"] == [
        {
            "amount": "1000000000",
            "timestamp": loan["repaymentHistory"][0]["timestamp"],
            "txHash": loan["repayTxHash"],
            "repaidBy": "PARTNER",
        }
    ]
    position = borrowed.get(f"/partners/public/position/{chain.users[0].position_id}/details").json()
    assert position["usdcBorrowed"] == "0"
    partner = Partner.objects.get()
    assert (partner.current_outstanding, partner.total_repaid) == (0, 1_000 * DOLLAR)
    assert borrowed.repay(1).json()["message"] == "Loan already fully repaid"


def test_a_partial_repayment_leaves_the_rest_and_frees_the_limit(chain, borrowed, settle):
    borrowed.repay(400 * DOLLAR)
    settle()

    loan = borrowed.loan()
    assert (loan["status"], loan["remainingDebt"]) == ("ACTIVE", "600000000")
    assert Partner.objects.get().current_outstanding == 600 * DOLLAR
    too_much = borrowed.repay(600 * DOLLAR + 1)
    assert too_much.status_code == 400
    assert too_much.json()["message"] == "Repayment exceeds remaining debt of $600"
    assert too_much.json()["code"] == "repayment_exceeds_debt"


def test_a_second_repayment_is_409_while_the_first_is_in_flight(chain, borrowed, settle):
    assert borrowed.repay(100 * DOLLAR).status_code == 202

    second = borrowed.repay(100 * DOLLAR)

    assert (second.status_code, second.json()["code"]) == (409, "repayment_in_progress")
    assert second.headers["Retry-After"] == "1"
    assert Repayment.objects.count() == 1
    settle()
    assert borrowed.repay(100 * DOLLAR).status_code == 202


def test_a_loan_that_is_still_pending_or_failed_cannot_be_repaid(chain, lender, settle):
    lender.borrow(chain.users[0], 100)
    pending = lender.repay(100 * DOLLAR)
    set_operator(chain, chain.users[0], allowed=False)
    settle()
    failed = lender.repay(100 * DOLLAR)

    assert (pending.status_code, pending.json()["message"]) == (400, "Loan is pending and cannot be repaid")
    assert (failed.status_code, failed.json()["message"]) == (400, "Loan is failed and cannot be repaid")
    assert not Repayment.objects.exists()


def test_a_proven_transfer_funds_repayments_of_its_value_and_no_more(chain, borrowed, settle):
    settlement = borrowed.partner.settlement_address
    tx_hash = transfer_usdc(chain, settlement, chain.addresses["executor"], 100 * DOLLAR)
    settlement_before = chain.usdc_balance(settlement)

    assert borrowed.repay(60 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    settle()
    too_much = borrowed.repay(41 * DOLLAR, repaymentTxHash=tx_hash)
    assert borrowed.repay(40 * DOLLAR, repaymentTxHash=tx_hash.upper().replace("0X", "0x")).status_code == 202
    settle()

    assert (too_much.status_code, too_much.json()["code"]) == (400, "transfer_insufficient")
    assert too_much.json()["details"]["unused"] == str(40 * DOLLAR)
    assert chain.usdc_balance(settlement) == settlement_before
    assert borrowed.loan()["remainingDebt"] == str(900 * DOLLAR)
    assert FundingTransfer.objects.get().used == 100 * DOLLAR


def test_hashes_that_prove_nothing_are_refused_each_with_its_own_code(chain, borrowed):
    mine, other = (partner.settlement_address for partner in chain.world.partners[:2])
    foreign = transfer_usdc(chain, other, chain.addresses["executor"], 100 * DOLLAR)
    elsewhere = transfer_usdc(chain, mine, chain.addresses["treasury"], 100 * DOLLAR)
    pulled = Operation.objects.get().tx_hash

    codes = {
        hash_: borrowed.repay(10 * DOLLAR, repaymentTxHash=hash_).json()["code"]
        for hash_ in ("0x" + "12" * 32, foreign, elsewhere, pulled)
    }

    assert list(codes.values()) == [
        "transfer_not_found",
        "transfer_not_to_platform",
        "transfer_not_to_platform",
        "transfer_not_to_platform",
    ]
    assert not Repayment.objects.exists()


def test_our_own_pull_of_a_repayment_cannot_be_presented_as_a_second_payment(chain, borrowed, settle):
    borrowed.repay(100 * DOLLAR)
    settle()
    pulled = borrowed.loan()["repaymentHistory"][0]["txHash"]

    again = borrowed.repay(100 * DOLLAR, repaymentTxHash=pulled)

    assert (again.status_code, again.json()["code"]) == (400, "transfer_not_to_platform")
    assert borrowed.loan()["remainingDebt"] == str(900 * DOLLAR)


def test_without_funds_the_answer_says_what_to_send_where(chain, borrowed):
    approve_usdc(chain, borrowed.partner.settlement_address, 0)

    answer = borrowed.repay(10 * DOLLAR)

    assert (answer.status_code, answer.json()["code"]) == (400, "repayment_not_funded")
    details = answer.json()["details"]
    assert details["platformAccount"] == chain.addresses["executor"]
    assert details["settlementAddress"] == borrowed.partner.settlement_address
    assert (details["amount"], details["settlementAllowance"]) == (str(10 * DOLLAR), "0")
    assert not Repayment.objects.exists()


def test_a_trusted_partner_is_taken_at_its_word(chain, borrowed, settle):
    Partner.objects.filter(pk=borrowed.partner.pk).update(repayment_funding=RepaymentFunding.TRUSTED)
    approve_usdc(chain, borrowed.partner.settlement_address, 0)
    transfer_usdc(chain, borrowed.partner.settlement_address, chain.addresses["executor"], 10 * DOLLAR)
    executor_before = chain.usdc_balance(chain.addresses["executor"])

    assert borrowed.repay(10 * DOLLAR).status_code == 202
    settle()

    assert executor_before - chain.usdc_balance(chain.addresses["executor"]) == 10 * DOLLAR
    assert borrowed.loan()["remainingDebt"] == str(990 * DOLLAR)


def test_a_repayment_the_chain_refuses_frees_the_loan_and_keeps_the_debt(chain, borrowed, settle):
    """The partner takes its allowance back between acceptance and settlement."""
    assert borrowed.repay(100 * DOLLAR).status_code == 202
    approve_usdc(chain, borrowed.partner.settlement_address, 0)

    settle()

    repayment = Repayment.objects.get()
    assert repayment.status == "FAILED"
    assert repayment.failure_reason
    loan = borrowed.loan()
    assert (loan["status"], loan["remainingDebt"], loan["repaymentHistory"]) == ("ACTIVE", str(1_000 * DOLLAR), [])
    approve_usdc(chain, borrowed.partner.settlement_address, 2**255)
    assert borrowed.repay(100 * DOLLAR).status_code == 202
