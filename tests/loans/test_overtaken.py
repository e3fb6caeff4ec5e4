"""A repayment that somebody else overtook: the user paid the loan off on the chain before it landed."""

from collections.abc import Callable

import pytest

from chain.lending.encoding import encode_call
from chain.settlement import driver
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentSource, RepaymentStatus
from loans.services.settle import settle_due
from loans.tasks import follow_now
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support.actors import send_as
from tests.support.chain import Chain
from tests.support.invariants import Invariants

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_payoff_of_a_loan_that_the_user_paid_before_it_landed_is_settled_with_nothing(
    chain: Chain, lender: PartnerClient, settle: Callable[[], None]
):
    invariants, user = Invariants(chain), chain.users[1]
    vault, usdc = chain.addresses["solvencyVault"], chain.addresses["usdc"]
    lender.borrow(user, 1_000)
    settle()
    send_as(chain, chain.addresses["deployer"], usdc, _call("mint(address,uint256)", user.wallet, 1_000 * DOLLAR))
    send_as(chain, user.wallet, usdc, _call("approve(address,uint256)", vault, 1_000 * DOLLAR))

    send_as(chain, user.wallet, vault, _call("repayLoan(uint256,uint256)", user.position_id, 1_000 * DOLLAR))
    send_as(chain, user.wallet, vault, _call("borrowUSDC(uint256,uint256)", user.position_id, 3_000 * DOLLAR))
    assert lender.repay(1_000 * DOLLAR).status_code == 202  # the watcher has not read of the user's payment yet
    driver.drive_once()
    chain.mine()
    driver.drive_once()
    settle_due()
    follow_now()
    settle_due()

    loan = PartnerLoan.objects.get()
    assert (loan.status, loan.total_repaid, loan.repayment_in_flight) == (LoanStatus.REPAID, 1_000 * DOLLAR, False)
    by_user = Repayment.objects.get(repaid_by=RepaymentSource.USER)
    by_partner = Repayment.objects.get(repaid_by=RepaymentSource.PARTNER)
    assert (by_user.status, by_user.amount) == (RepaymentStatus.SETTLED, 1_000 * DOLLAR)
    assert (by_partner.status, by_partner.amount) == (RepaymentStatus.SETTLED, 0)
    assert invariants.violations_at_rest() == []  # the user's own debt is the smaller by what the partner paid


def _call(signature: str, *arguments: object) -> str:
    return encode_call(signature, list(arguments))
