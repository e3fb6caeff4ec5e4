"""Interest as the pool counts it: on the loan, on the payoff, on several loans of one position, to the base unit."""

import pytest

from loans.models import PartnerLoan, Repayment
from tests.factories import DOLLAR
from tests.support.actors import approve_usdc, draw_on_chain, set_interest_rate, transfer_usdc

pytestmark = pytest.mark.django_db(transaction=True)

YEAR = 365 * 86_400


@pytest.fixture
def at_five_percent(chain):
    set_interest_rate(chain, 500)


def debts(*lenders_and_ids) -> list[int]:
    return [int(lender.loan(loan_id)["remainingDebt"]) for lender, loan_id in lenders_and_ids]


def test_a_loan_bears_the_pools_rate_of_its_day_and_owes_what_the_pool_says(chain, lender, settle, at_five_percent):
    user = chain.users[0]
    lender.borrow(user, 1_000)
    settle()
    set_interest_rate(chain, 900)
    chain.pass_time(YEAR - (chain.now() - PartnerLoan.objects.get().interest_since))

    loan = lender.loan()

    assert loan["interestRate"] == 500
    assert loan["accruedInterest"] == "50000000"
    assert loan["remainingDebt"] == "1050000000" == str(chain.debt(user.position_id))
    assert loan["outstandingPrincipal"] == "1000000000"
    listed = lender.get(f"/partners/user/{user.wallet}/loans").json()["loans"]
    assert listed[0]["remainingDebt"] == "1050000000"


def test_a_payment_covers_interest_first_and_then_principal(chain, lender, settle, at_five_percent):
    lender.borrow(chain.users[0], 1_000)
    settle()
    chain.pass_time(YEAR)

    lender.repay(100 * DOLLAR)
    settle()

    repayment, loan = Repayment.objects.get(), PartnerLoan.objects.get()
    assert repayment.principal_paid + repayment.interest_paid == 100 * DOLLAR
    assert loan.interest_paid == repayment.interest_paid
    assert 50_000_000 <= repayment.interest_paid <= 50_000_100
    assert loan.outstanding_principal == 1_000 * DOLLAR - repayment.principal_paid
    assert debts((lender, "loan-1")) == [chain.debt(chain.users[0].position_id)]


def test_a_payoff_by_quote_pulls_what_is_owed_in_its_block_and_not_a_unit_more(chain, lender, settle, at_five_percent):
    user, settlement = chain.users[0], lender.partner.settlement_address
    executor = chain.addresses["executor"]
    lender.borrow(user, 1_000)
    settle()
    chain.pass_time(YEAR)
    quote = lender.get("/partners/loan/loan-1/payoff").json()
    before = chain.usdc_balance(settlement), chain.usdc_balance(executor)

    answer = lender.repay(int(quote["payoffAmount"]))
    settle()

    assert answer.status_code == 202
    repayment = Repayment.objects.get()
    assert int(quote["remainingDebt"]) <= repayment.amount < int(quote["payoffAmount"])
    assert before[0] - chain.usdc_balance(settlement) == repayment.amount
    assert chain.usdc_balance(executor) == before[1]
    assert chain.debt(user.position_id) == 0
    assert lender.loan()["status"] == "REPAID"
    assert lender.loan()["remainingDebt"] == lender.loan()["accruedInterest"] == "0"
    assert (repayment.principal_paid, repayment.platform_covered) == (1_000 * DOLLAR, 0)
    refused = lender.get("/partners/loan/loan-1/payoff")
    assert (refused.status_code, refused.json()["code"]) == (400, "loan_already_repaid")


def test_the_debt_of_a_moment_ago_still_closes_the_loan_whoever_sent_the_money(chain, lender, settle, at_five_percent):
    user, executor = chain.users[0], chain.addresses["executor"]
    lender.borrow(user, 5_000)
    settle()
    chain.pass_time(YEAR)
    debt = int(lender.loan()["remainingDebt"])
    tx_hash = transfer_usdc(chain, lender.partner.settlement_address, executor, debt)
    chain.pass_time(60)
    fees = chain.usdc_balance(executor) - debt

    assert lender.repay(debt).status_code == 202  # it covers the debt of the newest block no more: a part payment
    settle()
    assert lender.loan()["status"] == "ACTIVE"
    rest = int(lender.loan()["remainingDebt"])
    assert lender.repay(rest, repaymentTxHash=tx_hash).status_code == 202
    settle()

    assert lender.loan()["status"] == "REPAID"
    assert chain.debt(user.position_id) == 0
    assert fees > 0


def test_a_transfer_of_exactly_the_debt_closes_and_the_platform_covers_the_seconds_between(chain, lender, settle):
    set_interest_rate(chain, 5_000)
    user, executor = chain.users[0], chain.addresses["executor"]
    lender.borrow(user, 5_000)
    settle()
    chain.pass_time(YEAR)
    debt = int(lender.loan()["remainingDebt"])
    tx_hash = transfer_usdc(chain, lender.partner.settlement_address, executor, debt + 100)
    accepted = lender.repay(int(lender.loan()["remainingDebt"]), repaymentTxHash=tx_hash)
    chain.pass_time(30)
    settle()

    assert accepted.status_code == 202
    repayment = Repayment.objects.get()
    assert lender.loan()["status"] == "REPAID"
    assert chain.debt(user.position_id) == 0
    assert repayment.platform_covered > 0
    assert repayment.amount - repayment.platform_covered <= debt + 100


def test_more_than_a_payoff_could_take_is_refused(chain, lender, settle, at_five_percent):
    lender.borrow(chain.users[0], 1_000)
    settle()
    quote = lender.get("/partners/loan/loan-1/payoff").json()

    answer = lender.repay(int(quote["payoffAmount"]) + 1)

    assert (answer.status_code, answer.json()["code"]) == (400, "repayment_exceeds_debt")
    assert not Repayment.objects.exists()


def test_loans_of_two_partners_and_the_users_own_draw_add_up_to_the_positions_debt(chain, make_client, settle):
    set_interest_rate(chain, 777)
    first, second, user = make_client(0), make_client(1), chain.users[1]
    first.borrow(user, 3_333, "a")
    settle()
    chain.pass_time(1_234_567)
    second.borrow(user, 7_777, "b")
    settle()
    chain.pass_time(7_654_321)
    first.borrow(user, 11, "c")
    settle()

    assert sum(debts((first, "a"), (second, "b"), (first, "c"))) == chain.debt(user.position_id)
    before = debts((second, "b"), (first, "c"))
    first.repay(int(first.get("/partners/loan/a/payoff").json()["payoffAmount"]), "a")
    settle()

    assert first.loan("a")["status"] == "REPAID"
    assert sum(debts((second, "b"), (first, "c"))) == chain.debt(user.position_id)
    grown = [now - then for now, then in zip(debts((second, "b"), (first, "c")), before, strict=True)]
    assert all(0 <= growth < 100 for growth in grown)  # a few seconds' interest, none of the other loan's
    chain.pass_time(YEAR)
    assert sum(debts((second, "b"), (first, "c"))) == chain.debt(user.position_id)
    for lender, loan_id in ((first, "c"), (second, "b")):
        lender.repay(int(lender.get(f"/partners/loan/{loan_id}/payoff").json()["payoffAmount"]), loan_id)
    settle()
    assert {loan.status for loan in PartnerLoan.objects.all()} == {"REPAID"}
    assert chain.debt(user.position_id) == 0


def test_what_the_user_owed_before_the_first_loan_stays_theirs(chain, lender, settle, at_five_percent):
    user = chain.users[0]
    draw_on_chain(chain, user, 500 * DOLLAR)
    chain.pass_time(YEAR)
    lender.borrow(user, 1_000)
    settle()
    chain.pass_time(YEAR)

    own = chain.debt(user.position_id) - int(lender.loan()["remainingDebt"])

    assert 549_999_000 <= own <= 550_001_000
    lender.repay(int(lender.get("/partners/loan/loan-1/payoff").json()["payoffAmount"]))
    settle()
    assert lender.loan()["status"] == "REPAID"
    assert abs(chain.debt(user.position_id) - own) < 100


def test_a_payoff_without_allowance_fails_and_the_loan_goes_on(chain, lender, settle, at_five_percent):
    lender.borrow(chain.users[0], 1_000)
    settle()
    amount = int(lender.get("/partners/loan/loan-1/payoff").json()["payoffAmount"])
    assert lender.repay(amount).status_code == 202
    approve_usdc(chain, lender.partner.settlement_address, 0)
    settle()

    assert Repayment.objects.get().status == "FAILED"
    assert lender.loan()["status"] == "ACTIVE"
