"""The most that all partners together lend to one wallet: never passed by a base unit, and right after any history."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loans.models import LoanStatus, PartnerLoan, UserWallet
from loans.services.lifecycle import mark_defaulted
from loans.stopping import wallets
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Forbidden
from tests.factories import DOLLAR, LoanFactory, PartnerFactory
from tests.support.acting import staff
from tests.support.actors import set_operator

pytestmark = pytest.mark.django_db(transaction=True)

WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"


def preview(lender: Any, user: Any, dollars: int) -> Any:
    body = {"oaidTokenId": user.oaid_token_id, "userWallet": user.wallet, "borrowAmount": str(dollars * DOLLAR)}
    return lender.post("/partners/borrow/preview", {**body, "partnerLoanId": "preview"})


def test_all_partners_together_lend_up_to_the_cap_and_what_is_repaid_can_be_lent_again(
    chain, lender, make_client, settle, settings
):
    settings.WALLET_EXPOSURE_CAP = 300 * DOLLAR
    user, other = chain.users[0], make_client(1)
    assert lender.borrow(user, 200).status_code == 202
    for answer in (preview(other, user, 101), other.borrow(user, 101)):
        assert (answer.status_code, answer.json()["code"], answer.json()["details"]) == (403, "wallet_refused", {})
        assert answer.json()["message"] == "The platform does not lend this amount to this wallet"
    assert preview(other, user, 100).status_code == 200
    assert other.borrow(user, 100).status_code == 202  # accepted ones count, drawn or not
    settle()
    assert other.borrow(user, 1, "loan-2").json()["code"] == "wallet_refused"
    assert other.borrow(chain.users[1], 250, "loan-3").status_code == 202  # each wallet has its own
    lender.repay(50 * DOLLAR)
    assert other.borrow(user, 1, "loan-2").json()["code"] == "wallet_refused"  # not before it is settled
    settle()
    assert wallets.exposure_of(user.wallet) == 250 * DOLLAR
    assert other.borrow(user, 51, "loan-4").json()["code"] == "wallet_refused"
    assert other.borrow(user, 50, "loan-5").status_code == 202


def test_a_cap_that_is_set_later_counts_what_was_lent_before(chain, lender, settle, settings):
    assert settings.WALLET_EXPOSURE_CAP is None
    lender.borrow(chain.users[0], 200)
    settle()
    settings.WALLET_EXPOSURE_CAP = 250 * DOLLAR
    assert lender.borrow(chain.users[0], 51, "loan-2").json()["code"] == "wallet_refused"
    settings.WALLET_EXPOSURE_CAP = 251 * DOLLAR
    assert lender.borrow(chain.users[0], 51, "loan-2").status_code == 202


def test_the_cap_costs_an_accepted_borrow_one_query_and_nothing_where_there_is_none(chain, lender, settings):
    lender.borrow(chain.users[0], 100, "warm-up")

    def queries(loan_id: str) -> int:
        with CaptureQueriesContext(connection) as context:
            assert lender.borrow(chain.users[0], 100, loan_id).status_code == 202
        return len(context)

    without = queries("loan-2")
    settings.WALLET_EXPOSURE_CAP = 10**12
    assert queries("loan-3") == without + 1


def test_a_loan_counts_from_its_acceptance_until_it_owes_nothing():
    owed = {
        LoanStatus.PENDING: 1_000,
        LoanStatus.ACTIVE: 400,
        LoanStatus.DEFAULTED: 30,
        LoanStatus.REPAID: 0,
        LoanStatus.FAILED: 0,
        LoanStatus.LIQUIDATED: 0,
    }
    assert set(owed) == set(LoanStatus)
    for status, outstanding in owed.items():
        LoanFactory.create(user_wallet=WALLET, status=status, outstanding_principal=outstanding)
    LoanFactory.create(status=LoanStatus.ACTIVE)  # another wallet's
    assert wallets.exposure_of(WALLET) == 1_430
    mark_defaulted(
        loan_id=PartnerLoan.objects.get(status=LoanStatus.ACTIVE, user_wallet=WALLET).pk, actor=staff("ann"), reason="r"
    )
    assert wallets.exposure_of(WALLET) == 1_430


def test_a_loan_that_the_chain_refuses_is_given_back_and_can_be_lent_again(chain, lender, settle, settings):
    settings.WALLET_EXPOSURE_CAP = 100 * DOLLAR
    user = chain.users[0]
    lender.borrow(user, 100)
    set_operator(chain, user, allowed=False)
    assert lender.borrow(user, 1, "loan-2").json()["code"] == "wallet_refused"
    settle()
    assert lender.loan()["status"] == LoanStatus.FAILED
    set_operator(chain, user, allowed=True)
    assert lender.borrow(user, 100, "loan-2").status_code == 202
    assert lender.borrow(user, 1, "loan-3").json()["code"] == "wallet_refused"


def test_sixteen_borrows_at_once_of_four_partners_and_oaids_never_pass_the_cap_by_a_base_unit(settings):
    settings.WALLET_EXPOSURE_CAP = 10_000
    partners = [PartnerFactory.create() for _ in range(4)]
    wallets.ensure_wallet(WALLET)
    barrier = threading.Barrier(16)

    def borrow(number: int) -> bool:
        def accept() -> None:
            wallets.lend_to_wallet(WALLET, 3_001)
            LoanFactory.create(partner=partners[number % 4], user_wallet=WALLET, principal_amount=3_001)

        try:
            barrier.wait()
            run_in_transaction(accept)
        except Forbidden:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        accepted = sum(pool.map(borrow, range(16)))
    assert (accepted, wallets.exposure_of(WALLET)) == (3, 9_003)
    assert UserWallet.objects.get().borrows == 3
    with pytest.raises(Forbidden):
        run_in_transaction(lambda: wallets.lend_to_wallet(WALLET, 998))
    run_in_transaction(lambda: wallets.lend_to_wallet(WALLET, 997))
