"""`repaymentHistory`: served from the repayments' own rows, the same words as ever, however many strangers pay."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain.models import ChainEvent
from loans import selectors
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.services import follow
from partner_platform.core import clock
from tests.factories import DOLLAR
from tests.support.actors import liquidate, repay_on_chain, revalue, transfer_usdc

pytestmark = pytest.mark.django_db(transaction=True)


def line(chain: Any, tx_hash: str, amount: int, repaid_by: str) -> dict[str, str]:
    """What the API says of a payment, by the chain."""
    block = chain.rpc("eth_getTransactionReceipt", tx_hash)["blockNumber"]
    time = int(chain.rpc("eth_getBlockByNumber", block, False)["timestamp"], 16)
    timestamp = clock.isoformat(clock.from_seconds(time))
    return {"amount": str(amount), "timestamp": str(timestamp), "txHash": tx_hash, "repaidBy": repaid_by}


def hash_of(loan_id: str = "loan-1") -> str:
    """The transaction of the repayment of ours that was settled last."""
    newest = Repayment.objects.filter(loan__partner_loan_id=loan_id, operation__isnull=False).order_by("-chain_order")
    return newest[0].tx_hash


def test_every_kind_of_payment_is_told_in_the_order_of_the_chain_by_its_own_words(chain, lender, settle):
    user, executor = chain.users[0], chain.addresses["executor"]
    lender.borrow(user, 7_000)
    settle()
    assert lender.loan()["repaymentHistory"] == []
    expected = []

    lender.repay(100 * DOLLAR)  # pulled
    settle()
    expected.append(line(chain, hash_of(), 100 * DOLLAR, "PARTNER"))
    funded = transfer_usdc(chain, lender.partner.settlement_address, executor, 200 * DOLLAR)
    lender.repay(200 * DOLLAR, repaymentTxHash=funded)
    settle()
    expected.append(line(chain, hash_of(), 200 * DOLLAR, "PARTNER"))
    tx_hash = repay_on_chain(chain, user.wallet, user, 300 * DOLLAR)
    follow.follow_chain()
    expected.append(line(chain, tx_hash, 300 * DOLLAR, "USER"))
    assert lender.loan()["repaymentHistory"] == expected

    revalue(chain, user, 7_000 * DOLLAR)
    tx_hash = liquidate(chain, chain.users[2].wallet, user, 7_000 * DOLLAR)
    follow.follow_chain()
    expected.append(line(chain, tx_hash, 6_400 * DOLLAR, "LIQUIDATION"))

    loan = lender.loan()
    assert (loan["status"], loan["repaymentHistory"]) == (LoanStatus.LIQUIDATED, expected)
    assert sum(int(entry["amount"]) for entry in expected) == int(loan["totalRepaid"])


def test_what_is_pending_failed_or_came_too_late_is_not_in_it(chain, lender, settle):
    user = chain.users[0]
    lender.borrow(user, 100)
    settle()
    lender.repay(100 * DOLLAR)
    assert lender.loan()["repaymentHistory"] == []
    paid = repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    settle()
    follow.follow_chain()
    settle()

    loan = lender.loan()
    told = loan["repaymentHistory"]
    assert [(entry["txHash"] == paid, entry["repaidBy"]) for entry in told] == [(True, "USER"), (False, "PARTNER")]
    assert sum(int(entry["amount"]) for entry in told) == int(loan["totalRepaid"]) == 100 * DOLLAR
    assert Repayment.objects.exclude(status=RepaymentStatus.SETTLED).count() == 0


def test_dust_from_strangers_leaves_the_loans_row_as_small_as_it_was(chain, lender, settle):
    user, stranger = chain.users[0], chain.world.partners[1].settlement_address
    lender.borrow(user, 1_000)
    settle()
    sizes, answers = [], []
    for _ in range(12):
        repay_on_chain(chain, stranger, user, 1)
        follow.follow_chain()
        sizes.append(len(str(PartnerLoan.objects.values().get())))
        answers.append(lender.loan()["repaymentHistory"])

    assert max(sizes) - min(sizes) <= 20  # a digit more here and there; twelve entries would be two thousand
    assert [len(told) for told in answers] == list(range(1, 13))
    assert {(entry["amount"], entry["repaidBy"]) for entry in answers[-1]} == {("1", "USER")}


def settled_rows(loan: PartnerLoan, count: int) -> None:
    """Payments of 1, 2, 3, … base units in blocks 1, 2, 3, …"""
    now = clock.now()
    Repayment.objects.bulk_create(
        Repayment(
            loan=loan,
            partner_id=loan.partner_id,
            amount=number,
            status=RepaymentStatus.SETTLED,
            repaid_by="USER",
            funding="ONCHAIN",
            chain_order=number << 20,
            tx_hash=f"0x{number:064x}",
            settled_at=now,
        )
        for number in range(1, count + 1)
    )
    PartnerLoan.objects.filter(pk=loan.pk).update(total_repaid=1, last_repayment_at=now)


@pytest.mark.parametrize(("count", "first"), [(99, 1), (100, 1), (101, 2), (250, 151)])
def test_of_more_than_a_hundred_the_newest_are_told_oldest_first(chain, lender, settle, count, first):
    lender.borrow(chain.users[0], 1_000)
    settle()
    settled_rows(PartnerLoan.objects.get(), count)

    told = lender.loan()["repaymentHistory"]

    assert [int(entry["amount"]) for entry in told] == list(range(first, count + 1))


def test_the_rest_is_among_the_transactions(chain, lender, settle):
    lender.borrow(chain.users[0], 1_000)
    settle()
    settled_rows(PartnerLoan.objects.get(), 150)

    found: list[dict[str, Any]] = []
    path = "/partners/my/transactions?type=REPAY&limit=100"
    page = lender.get(path).json()
    found += page["transactions"]
    found += lender.get(f"{path}&cursor={page['next']}").json()["transactions"]

    assert {row["partnerLoanId"] for row in found} == {"loan-1"}
    assert sorted(int(row["amount"]) for row in found) == list(range(1, 151))


def test_a_payment_credited_after_the_loan_was_read_is_not_in_the_answer(chain, lender, settle):
    lender.borrow(chain.users[0], 1_000)
    settle()
    lender.repay(10 * DOLLAR)
    settle()
    as_read = PartnerLoan.objects.get()
    chain.pass_time(5)
    lender.repay(20 * DOLLAR)
    settle()

    assert [row.amount for row in selectors.repayment_history(as_read)] == [10 * DOLLAR]
    assert [row.amount for row in selectors.repayment_history(PartnerLoan.objects.get())] == [10 * DOLLAR, 20 * DOLLAR]


def test_it_costs_one_query_where_something_was_paid_and_none_where_not(chain, lender, settle):
    lender.borrow(chain.users[0], 1_000)
    settle()
    loan = PartnerLoan.objects.get()
    assert _queries(lambda: selectors.repayment_history(loan)) == 0
    settled_rows(loan, 150)
    loan.refresh_from_db()
    for _ in range(2):  # made anew, and with the statement that is kept
        assert _queries(lambda: selectors.repayment_history(loan)) == 1


@pytest.mark.usefixtures("known_blocks_kept")
def test_a_list_of_loans_asks_for_no_history(chain, lender, settle):
    user = chain.users[1]
    for number in range(3):
        lender.borrow(user, 100, f"loan-{number}")
    settle()
    path = f"/partners/user/{user.wallet}/loans"
    lender.get(path)
    before = _queries(lambda: lender.get(path))
    for loan in PartnerLoan.objects.all():
        settled_rows(loan, 5)

    assert _queries(lambda: lender.get(path)) == before
    loans = lender.get(path).json()["loans"]
    assert {(row["evidence"]["txHash"], row["evidence"]["depth"]) for row in loans} == {
        (loan.borrow_tx_hash, loans[0]["evidence"]["depth"]) for loan in PartnerLoan.objects.all()
    }


def test_a_reorg_takes_a_payment_out_of_it_and_it_comes_back_once(chain, lender, settle):
    user = chain.users[0]
    lender.borrow(user, 1_000)
    settle()
    follow.follow_chain()
    lender.repay(30 * DOLLAR)
    settle()
    follow.follow_chain()
    kept = lender.loan()["repaymentHistory"]
    block = chain.block_number()
    repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    follow.follow_chain()
    assert len(lender.loan()["repaymentHistory"]) == 2

    chain.rpc("anvil_rollback", chain.block_number() - block)
    chain.mine(7)
    follow.follow_chain()
    assert lender.loan()["repaymentHistory"] == kept

    again = repay_on_chain(chain, user.wallet, user, 50 * DOLLAR)
    follow.follow_chain()
    assert lender.loan()["repaymentHistory"] == [*kept, line(chain, again, 50 * DOLLAR, "USER")]
    assert not ChainEvent.objects.filter(applied=False).exists()


def _queries(act: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)
