"""Borrowing: what is refused and in which order, what is accepted, and what the chain then shows."""

import json

import pytest

from audit.models import ApiLog, AuditEntry
from chain.lending import readings
from chain.models import Operation
from chain.settlement import driver
from loans.api import public
from loans.models import OaidCredit, PartnerLoan
from loans.services.settle import settle_due
from partners.models import PartnerDailyUsage
from tests.factories import DOLLAR
from tests.support.actors import set_operator

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_is_reserved() -> bool:
    return (
        not PartnerLoan.objects.exists()
        and not Operation.objects.exists()
        and not OaidCredit.objects.filter(reserved__gt=0).exists()
        and not PartnerDailyUsage.objects.filter(borrowed__gt=0).exists()
    )


def test_a_borrow_pays_the_net_amount_out_and_leaves_the_fee_on_the_platform_account(chain, lender, settle):
    user = chain.users[0]
    settlement, executor = lender.partner.settlement_address, chain.addresses["executor"]
    before = chain.usdc_balance(settlement), chain.usdc_balance(executor)

    answer = lender.borrow(user, 5_000)
    settle()

    assert answer.status_code == 202
    assert answer.headers["Location"] == "/partners/loan/loan-1"
    assert answer.headers["Retry-After"] == "2"
    body = answer.json()
    assert body == {
        "success": True,
        "internalLoanId": body["internalLoanId"],
        "borrowedAmount": "5000000000",
        "netAmountTransferred": "4975000000",
        "platformFee": "25000000",
        "remainingCredit": "5000000000",
        "status": "PENDING",
        "message": "Loan accepted, settlement is pending",
    }
    assert chain.usdc_balance(settlement) - before[0] == 4_975_000_000
    assert chain.usdc_balance(executor) - before[1] == 25_000_000
    loan = lender.loan()
    assert loan["status"] == "ACTIVE"
    assert loan["remainingDebt"] == "5000000000"
    assert chain.rpc("eth_getTransactionReceipt", loan["borrowTxHash"])["status"] == "0x1"
    lender.partner.refresh_from_db()
    assert lender.partner.current_outstanding == 5_000 * DOLLAR
    assert lender.partner.total_borrowed == 5_000 * DOLLAR
    assert OaidCredit.objects.get().reserved == 0
    actions = list(
        AuditEntry.objects.filter(action__startswith="loan.").order_by("timestamp").values_list("action", flat=True)
    )
    assert actions == ["loan.requested", "loan.borrowed"]


def test_the_credit_line_and_the_position_show_the_loan_once_it_is_on_the_chain(chain, lender, settle):
    user = chain.users[0]
    lender.borrow(user, 4_000)
    settle()

    credit = lender.get(f"/partners/public/oaid/{user.oaid_token_id}/credit-line").json()
    position = lender.get(f"/partners/public/position/{user.position_id}/details").json()

    assert credit == {
        "oaidTokenId": user.oaid_token_id,
        "oaidTokenIdString": str(user.oaid_token_id),
        "creditLimit": "10000000000",
        "creditUsed": "4000000000",
        "availableCredit": "6000000000",
        "active": True,
        "owner": user.wallet,
    }
    assert (position["positionId"], position["positionIdString"]) == (user.position_id, str(user.position_id))
    assert position["usdcBorrowed"] == "4000000000"
    assert position["user"] == user.wallet
    assert position["tokenType"] == "RWA"
    assert position["healthFactor"] == round(int(position["collateralValueUSD"]) / 4_000_000_000, 4)


def test_the_id_of_an_oaid_may_be_sent_as_the_string_that_answers_have_too(chain, lender, settle):
    user = chain.users[0]

    answer = lender.borrow(user, 100, oaidTokenId=str(user.oaid_token_id))
    settle()

    assert answer.status_code == 202
    assert PartnerLoan.objects.get().oaid_token_id == user.oaid_token_id
    told = lender.loan()
    assert (told["oaidTokenId"], told["oaidTokenIdString"]) == (user.oaid_token_id, str(user.oaid_token_id))


def test_a_loan_is_listed_by_what_its_metadata_says(chain, lender):
    user, metadata = chain.users[0], {"partnerUserId": 456, "loanPurpose": "working_capital"}
    assert lender.borrow(user, 100, metadata=metadata).status_code == 202
    assert lender.borrow(user, 100, "loan-2", metadata={"partnerUserId": None}).status_code == 202

    (listed,) = lender.get("/partners/loans?partnerUserId=456&loanPurpose=working_capital").json()["loans"]
    assert (listed["partnerLoanId"], listed["partnerUserId"]) == ("loan-1", "456")
    assert lender.loan()["metadata"] == metadata


def test_an_id_that_javascript_would_round_is_whole_in_the_string():
    oaid = readings.OaidReading(2**200 + 1, "0x" + "1" * 40, 0, 0, True, position_id=0, block_number=1)

    shown = json.loads(json.dumps(public.present_credit_line(oaid)), parse_int=float)

    assert shown["oaidTokenId"] != 2**200 + 1
    assert int(shown["oaidTokenIdString"]) == 2**200 + 1


def test_a_position_without_debt_has_no_health_factor(chain, lender):
    position = lender.get(f"/partners/public/position/{chain.users[1].position_id}/details").json()

    assert position["healthFactor"] is None
    assert position["usdcBorrowed"] == "0"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/partners/public/oaid/999999/credit-line", 404, "oaid_not_found"),
        (f"/partners/public/oaid/{2**256}/credit-line", 404, "oaid_not_found"),
        ("/partners/public/oaid/abc/credit-line", 400, "invalid_request"),
        ("/partners/public/oaid/-1/credit-line", 400, "invalid_request"),
        ("/partners/public/position/999999/details", 404, "position_not_found"),
        ("/partners/public/position/1.5/details", 400, "invalid_request"),
    ],
)
def test_an_unknown_token_or_position_is_404_and_a_malformed_one_400(chain, lender, path, status, code):
    answer = lender.get(path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("amount", [1, 199, 200, 999_999])
def test_a_loan_below_the_smallest_is_refused_before_anything_is_asked_or_reserved(chain, lender, settings, amount):
    user = chain.users[0]
    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:9"]  # nobody answers there
    wanted = {"oaidTokenId": user.oaid_token_id, "userWallet": user.wallet, "partnerLoanId": "loan-1"}

    for path in ("/partners/borrow", "/partners/borrow/typed-data"):
        answer = lender.post(path, {**wanted, "borrowAmount": str(amount)})
        assert (answer.status_code, answer.json()["code"]) == (400, "loan_below_minimum")
        assert answer.json()["message"] == "The smallest loan is $1"
        assert answer.json()["details"] == {"minimum": "1000000"}
        assert answer.json()["retryable"] is False
    assert nothing_is_reserved()


def test_the_smallest_loan_is_a_dollar_and_its_fee_is_not_nothing(chain, lender, settle, settings):
    assert settings.MIN_BORROW == DOLLAR
    answer = lender.borrow(chain.users[0], 1)
    settle()
    assert (answer.status_code, answer.json()["platformFee"]) == (202, "5000")
    assert lender.loan()["status"] == "ACTIVE"


def test_the_smallest_loan_is_the_platforms_to_set(chain, lender, settings):
    settings.MIN_BORROW = 250 * DOLLAR
    answer = lender.borrow(chain.users[0], 249)
    assert (answer.json()["code"], answer.json()["message"]) == ("loan_below_minimum", "The smallest loan is $250")
    assert lender.borrow(chain.users[0], 250).status_code == 202


def test_somebody_elses_oaid_is_refused(chain, lender):
    answer = lender.borrow(chain.users[0], 100, userWallet=chain.users[1].wallet)

    assert answer.status_code == 403
    assert answer.json()["message"] == "User does not own this OAID"
    assert answer.json()["code"] == "not_oaid_owner"
    assert nothing_is_reserved()


def test_an_oaid_that_was_never_minted_is_404(chain, lender):
    answer = lender.borrow(chain.users[0], 100, oaidTokenId=424242)

    assert (answer.status_code, answer.json()["code"]) == (404, "oaid_not_found")
    assert nothing_is_reserved()


def test_more_than_the_credit_is_refused_and_says_what_is_available(chain, lender, settle):
    user = chain.users[0]
    lender.borrow(user, 7_000)

    answer = lender.borrow(user, 3_001, "loan-2")

    assert answer.status_code == 400
    assert answer.json()["message"] == "Insufficient credit. Available: $3000"
    assert answer.json()["details"] == {"availableCredit": "3000000000"}
    assert answer.json()["code"] == "insufficient_credit"
    assert PartnerLoan.objects.count() == 1
    settle()
    again = lender.borrow(user, 3_001, "loan-2")
    assert again.json()["message"] == "Insufficient credit. Available: $3000"
    assert lender.borrow(user, 3_000, "loan-2").status_code == 202


def test_a_loan_that_landed_but_is_not_settled_in_the_books_is_counted_once(chain, lender):
    """Between its block and its settlement a loan is in the chain's figure and in the reservation: not twice in the
    refusal."""
    user = chain.users[0]
    lender.borrow(user, 6_000)
    driver.drive_once()
    chain.mine()
    readings.forget_block()

    refused = lender.borrow(user, 4_001, "loan-2")
    accepted = lender.borrow(user, 4_000, "loan-3")

    assert refused.json()["message"] == "Insufficient credit. Available: $4000"
    assert accepted.status_code == 202
    assert accepted.json()["remainingCredit"] == "0"


def test_a_loan_that_settles_while_credit_is_judged_is_not_given_back_twice_though_the_sum_is_the_same_again(
    chain, lender, monkeypatch
):
    """One loan leaves the reservations and another of the same amount enters, between the reading and the update."""
    user, read_executed = chain.users[0], readings.read_executed
    others: list[object] = []
    lender.borrow(user, 5_000, "landed")
    driver.drive_once()
    chain.mine()
    driver.drive_once()  # it is on the chain, and not settled in the books
    readings.forget_block()

    def read_and_be_overtaken(*arguments):
        executed = read_executed(*arguments)
        if not others:
            others.append("on its way")
            settle_due()
            others.append(lender.borrow(user, 5_000, "other").status_code)
        return executed

    monkeypatch.setattr(readings, "read_executed", read_and_be_overtaken)
    answer = lender.borrow(user, 5_000, "third")

    assert others == ["on its way", 202]
    assert (answer.status_code, answer.json()["code"]) == (400, "insufficient_credit")
    assert OaidCredit.objects.get().reserved == 5_000 * DOLLAR
    assert set(PartnerLoan.objects.values_list("partner_loan_id", flat=True)) == {"landed", "other"}


def test_the_daily_limit_is_checked_before_the_total_limit_and_both_before_the_duplicate(chain, make_client):
    lender = make_client(daily_borrow_limit=str(1_000 * DOLLAR), total_borrow_limit=str(500 * DOLLAR))
    user = chain.users[0]
    lender.borrow(user, 400, "loan-1")

    daily = lender.borrow(user, 601, "loan-1")
    total = lender.borrow(user, 101, "loan-1")
    duplicate = lender.borrow(user, 100, "loan-1")

    assert (daily.status_code, daily.json()["code"]) == (403, "daily_limit_exceeded")
    assert daily.json()["message"] == "Partner daily limit exceeded. Remaining: $600"
    assert (total.status_code, total.json()["code"]) == (403, "total_limit_exceeded")
    assert total.json()["message"] == "Partner total limit exceeded. Remaining: $100"
    assert (duplicate.status_code, duplicate.json()["code"]) == (409, "duplicate_loan_id")
    assert duplicate.json()["message"] == "Partner loan ID already exists"
    assert PartnerDailyUsage.objects.get().borrowed == 400 * DOLLAR


def test_two_partners_may_use_the_same_loan_id_and_never_see_each_others_loan(chain, make_client):
    first, second = make_client(0), make_client(1)
    assert first.borrow(chain.users[0], 100).status_code == 202

    assert second.get("/partners/loan/loan-1").status_code == 404
    assert second.repay(100).status_code == 404
    assert second.borrow(chain.users[0], 100).status_code == 202


def test_a_borrow_the_chain_refuses_fails_and_gives_everything_back(chain, make_client, settle):
    """The user withdraws the operator's right after acceptance: nothing moves, nothing stays reserved."""
    lender, user = make_client(), chain.users[0]
    settlement = lender.partner.settlement_address
    before = chain.usdc_balance(settlement)
    assert lender.borrow(user, 5_000).status_code == 202
    set_operator(chain, user, allowed=False)

    settle()

    loan = lender.loan()
    assert loan["status"] == "FAILED"
    assert loan["failureReason"]
    assert loan["remainingDebt"] == "0"
    assert chain.usdc_balance(settlement) == before
    lender.partner.refresh_from_db()
    assert lender.partner.current_outstanding == 0
    assert lender.partner.total_borrowed == 0
    assert PartnerDailyUsage.objects.get().borrowed == 0
    assert OaidCredit.objects.get().reserved == 0


def test_a_chain_that_cannot_be_reached_is_503_and_nothing_is_reserved(chain, lender, settings):
    from chain.rpc.clients import get_client

    settings.CHAIN_RPC_URLS = ["http://127.0.0.1:9"]
    get_client.cache_clear()
    try:
        answer = lender.borrow(chain.users[0], 100)
    finally:
        get_client.cache_clear()

    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert answer.json()["retryable"] is True
    assert answer.headers["Retry-After"] == "2"
    assert nothing_is_reserved()


def test_acceptance_takes_at_most_15_queries(chain, lender, django_assert_max_num_queries):
    lender.borrow(chain.users[0], 100, "warm-up")
    with django_assert_max_num_queries(15):
        assert lender.borrow(chain.users[0], 100, "loan-2").status_code == 202


@pytest.mark.usefixtures("known_blocks_kept")
def test_a_loan_read_takes_3_queries_and_a_fourth_where_the_loan_was_repaid_anything(
    chain, lender, settle, django_assert_num_queries
):
    lender.borrow(chain.users[0], 100)
    settle()
    lender.loan()
    with django_assert_num_queries(3):
        assert lender.loan()["repaymentHistory"] == []
    for _ in range(2):
        lender.repay(20 * DOLLAR)
        settle()
    with django_assert_num_queries(4):  # however often it was repaid
        loan = lender.loan()
    assert [entry["amount"] for entry in loan["repaymentHistory"]] == ["20000000", "20000000"]


def test_every_call_leaves_an_api_log_row_with_the_loan_and_the_outcome(chain, lender):
    lender.borrow(chain.users[0], 100)
    lender.borrow(chain.users[0], 100)

    first, second = ApiLog.objects.order_by("timestamp")
    assert (first.status_code, first.success, first.loan_id) == (202, True, "loan-1")
    assert (first.user_wallet, first.oaid_token_id) == (chain.users[0].wallet, str(chain.users[0].oaid_token_id))
    assert first.partner_id == lender.partner.partner_id
    assert (second.status_code, second.success, second.error_code) == (409, False, "duplicate_loan_id")
    assert lender.key not in str(first.request_payload)


def test_a_users_loans_are_listed_newest_first_with_the_total(chain, lender, settle):
    user = chain.users[1]
    for number in range(3):
        lender.borrow(user, 100 + number, f"loan-{number}")
    settle()

    page = lender.get(f"/partners/user/{user.wallet.lower()}/loans?status=ACTIVE&limit=2&offset=0").json()
    rest = lender.get(f"/partners/user/{user.wallet}/loans?limit=2&offset=2").json()

    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    assert [row["partnerLoanId"] for row in page["loans"]] == ["loan-2", "loan-1"]
    assert [row["partnerLoanId"] for row in rest["loans"]] == ["loan-0"]
    assert rest["loans"][0]["remainingDebt"] == "100000000"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1", "status=OPEN", "limit=x"])
def test_a_bad_query_string_is_400_and_names_the_parameter(chain, lender, query):
    answer = lender.get(f"/partners/user/{chain.users[0].wallet}/loans?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["details"]) == [query.partition("=")[0]]
