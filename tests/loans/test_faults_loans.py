"""F10, F12, F29, F30, F34, F40, F43 through loans: what partners are told, and the books against the chain."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain.lending.encoding import Call, encode_call
from chain.models import (
    ChainTransaction,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
)
from chain.settlement import driver
from loans.models import LoanStatus, OaidCredit, PartnerLoan, Repayment, RepaymentStatus
from loans.services.settle import settle_due
from partners.models import Partner, PartnerDailyUsage
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support import books
from tests.support.actors import set_operator
from tests.support.backup import Backup
from tests.support.chain import FINAL_AFTER_BLOCKS, Chain

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
Go = Callable[..., None]


@pytest.fixture
def go(chain: Chain) -> Go:
    """Blocks, each with a driver and the settlement after it."""

    def run(blocks: int) -> None:
        for _ in range(blocks):
            chain.mine()
            driver.drive_once()
            settle_due()

    return run


class Accounts:
    """What the chain shows of a partner, a user and us, as changes since the start."""

    def __init__(self, chain: Chain, lender: PartnerClient, user: Any) -> None:
        self._read = lambda: (
            chain.usdc_balance(lender.partner.settlement_address),
            chain.usdc_balance(chain.addresses["executor"]),
            chain.debt(user.position_id),
        )
        self._before = self._read()

    def check(self, *, paid_out: int, fees: int, debt: int) -> None:
        """The two checks: the books add up and nothing is open; the chain holds what they say."""
        assert books.discrepancies() == []
        assert Operation.objects.filter(acknowledged=False).count() == 0
        assert Operation.objects.filter(reopened=True).count() == 0
        moved = tuple(now - before for now, before in zip(self._read(), self._before, strict=True))
        assert moved == (paid_out, fees, debt)
        owed = sum(loan.outstanding_principal for loan in PartnerLoan.objects.all())
        assert owed == debt


@pytest.fixture
def accounts(chain: Chain, lender: PartnerClient) -> Accounts:
    return Accounts(chain, lender, chain.users[0])


def roll_back(chain: Chain, blocks: int) -> None:
    """The newest blocks are gone, and nobody has what was in them."""
    chain.rpc("anvil_rollback", blocks)
    chain.rpc("anvil_dropAllTransactions")


def withhold(chain: Chain) -> str:
    """Take the one transaction out of the pool; answers its bytes."""
    chain.rpc("anvil_dropAllTransactions")
    return TransactionAttempt.objects.get().raw


def test_f10_the_same_borrow_comes_twice_and_is_one_loan(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    first = lender.borrow(chain.users[0], 1_000)
    second = lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    assert (first.status_code, second.status_code) == (202, 409)
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def test_f12_a_loan_that_was_paid_out_after_the_backup_is_active_after_the_restore(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    driver.drive_once()
    lender.borrow(chain.users[0], 1_000)
    engine = (PlatformWallet, ChainTransaction, TransactionAttempt, Operation)
    before = Backup(*engine, Partner, PartnerDailyUsage, OaidCredit, PartnerLoan)
    driver.drive_once()
    chain.mine(FINAL_AFTER_BLOCKS + 1)
    before.restore()
    assert lender.loan()["status"] == "PENDING"
    driver.drive_once()
    settle_due()
    assert lender.loan()["status"] == "ACTIVE"
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def test_f29_the_user_takes_the_permission_back_between_send_and_mine(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    raw = withhold(chain)
    set_operator(chain, chain.users[0], allowed=False)
    chain.rpc(SEND, raw)
    go(1)
    loan = lender.loan()
    assert loan["status"] == "FAILED"
    assert Operation.objects.get().state == OperationState.FAILED
    assert OaidCredit.objects.get().reserved == 0
    assert Partner.objects.get().current_outstanding == 0
    accounts.check(paid_out=0, fees=0, debt=0)
    set_operator(chain, chain.users[0], allowed=True)
    assert lender.borrow(chain.users[0], 10_000, "loan-2").status_code == 202  # all of the credit is free again
    driver.drive_once()
    go(1)
    accounts.check(paid_out=9_950 * DOLLAR, fees=50 * DOLLAR, debt=10_000 * DOLLAR)


def test_f30_failed_then_reorged_then_paid_out_the_partner_hears_of_no_failure(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts, settings: Settings
) -> None:
    settings.CHAIN_CONFIRMATIONS = 3
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    raw = withhold(chain)
    set_operator(chain, chain.users[0], allowed=False)
    chain.rpc(SEND, raw)
    go(2)
    assert lender.loan()["status"] == "PENDING"
    assert OaidCredit.objects.get().reserved == 1_000 * DOLLAR
    roll_back(chain, 3)
    go(8)
    assert lender.loan()["status"] == "ACTIVE"
    assert AuditEntry.objects.filter(action="loan.failed").count() == 0
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def test_f34_the_pay_out_leg_fails_and_the_borrow_is_undone(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    """The second leg pays more than the platform account has by the time it runs."""
    lender.borrow(chain.users[0], 1_000)
    operation = Operation.objects.get()
    spent = chain.usdc_balance(chain.addresses["executor"])
    too_much = encode_call("transfer(address,uint256)", [lender.partner.settlement_address, spent + 1_001 * DOLLAR])
    Operation.objects.update(
        calls=[operation.calls[0], Call(chain.addresses["usdc"], 0, too_much).as_json()], effect=operation.effect[:1]
    )
    fund(chain, 2 * DOLLAR)
    driver.drive_once()
    assert Operation.objects.get().state == OperationState.BUNDLED
    raw = withhold(chain)
    drain(chain, 2 * DOLLAR)
    chain.rpc(SEND, raw)
    go(1)
    assert lender.loan()["status"] == "FAILED"
    assert Operation.objects.get().reason.startswith("ERC20InsufficientBalance(")
    assert chain.debt(chain.users[0].position_id) == 0
    accounts.check(paid_out=0, fees=0, debt=0)


def test_f34_a_pay_out_to_nobody_is_refused_before_anything_is_spent(
    chain: Chain, lender: PartnerClient, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    operation = Operation.objects.get()
    nobody = encode_call("transfer(address,uint256)", ["0x" + "00" * 20, 995 * DOLLAR])
    Operation.objects.update(calls=[operation.calls[0], Call(chain.addresses["usdc"], 0, nobody).as_json()])
    driver.drive_once()
    settle_due()
    assert lender.loan()["status"] == "FAILED"
    assert ChainTransaction.objects.count() == 0
    accounts.check(paid_out=0, fees=0, debt=0)


def test_f40_a_loan_reverted_past_confirmation_is_pending_again_and_settled_anew(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    assert lender.loan()["status"] == "ACTIVE"
    roll_back(chain, 1)
    chain.mine(2)
    driver.drive_once()
    settle_due()
    loan = PartnerLoan.objects.get()
    assert (loan.status, loan.borrow_tx_hash, loan.borrowed_at) == (LoanStatus.PENDING, "", None)
    assert OaidCredit.objects.get().reserved == 1_000 * DOLLAR  # M1: it counts against the credit as before
    assert Partner.objects.get().total_borrowed == 0
    assert Partner.objects.get().current_outstanding == 1_000 * DOLLAR
    assert books.discrepancies() == []
    assert AuditEntry.objects.filter(action="settlement.reopened").count() == 1
    assert AuditEntry.objects.filter(action="loan.undone").count() == 1
    assert "a reorg undid 1 settled operations" in PlatformWallet.objects.get().incident
    assert lender.repay(1).json()["code"] == "loan_not_repayable"
    go(4)
    assert lender.loan()["status"] == "ACTIVE"
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def test_f40_a_loan_that_cannot_be_drawn_again_fails_and_releases_everything(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    roll_back(chain, 1)
    set_operator(chain, chain.users[0], allowed=False)
    go(5)
    assert lender.loan()["status"] == "FAILED"
    assert OaidCredit.objects.get().reserved == 0
    partner = Partner.objects.get()
    assert (partner.current_outstanding, partner.total_borrowed) == (0, 0)
    assert PartnerDailyUsage.objects.get().borrowed == 0
    accounts.check(paid_out=0, fees=0, debt=0)


def test_f40_a_repayment_reverted_past_confirmation_is_under_way_again(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    assert lender.repay(1_000 * DOLLAR).status_code == 202
    driver.drive_once()
    go(1)
    assert lender.loan()["status"] == "REPAID"
    roll_back(chain, 1)
    chain.mine(2)
    driver.drive_once()
    settle_due()
    assert lender.loan()["status"] == "ACTIVE"
    assert lender.loan()["remainingDebt"] == str(1_000 * DOLLAR)
    assert Repayment.objects.get().status == RepaymentStatus.PENDING
    assert books.discrepancies() == []
    go(4)
    assert lender.loan()["status"] == "REPAID"
    assert Repayment.objects.get().status == RepaymentStatus.SETTLED
    accounts.check(paid_out=-5 * DOLLAR, fees=5 * DOLLAR, debt=0)


def test_f40_loan_and_repayment_are_undone_together_and_come_again_in_their_order(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    lender.repay(400 * DOLLAR)
    driver.drive_once()
    go(1)
    assert lender.loan()["remainingDebt"] == str(600 * DOLLAR)
    roll_back(chain, 2)
    go(8)
    assert lender.loan()["status"] == "ACTIVE"
    assert lender.loan()["remainingDebt"] == str(600 * DOLLAR)
    accounts.check(paid_out=595 * DOLLAR, fees=5 * DOLLAR, debt=600 * DOLLAR)


@pytest.mark.parametrize("first", [400, 500])
def test_f40_a_repayment_that_comes_back_beside_a_newer_one_and_both_are_settled(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts, first: int
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    go(1)
    lender.repay(first * DOLLAR)
    driver.drive_once()
    go(1)
    chain.rpc("anvil_reorg", 1, [])  # nobody here knows of it yet
    assert lender.repay((1_000 - first) * DOLLAR).status_code == 202
    go(1)
    pending = Repayment.objects.filter(status=RepaymentStatus.PENDING).exists()
    assert PartnerLoan.objects.get().repayment_in_flight == pending
    go(5)
    assert (lender.loan()["status"], PartnerLoan.objects.get().repayment_in_flight) == ("REPAID", False)
    assert set(Repayment.objects.values_list("status", flat=True)) == {RepaymentStatus.SETTLED}
    accounts.check(paid_out=-5 * DOLLAR, fees=5 * DOLLAR, debt=0)


def test_f40_a_failure_that_was_told_and_undone_ends_as_the_chain_ends(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    lender.borrow(chain.users[0], 1_000)
    driver.drive_once()
    raw = withhold(chain)
    set_operator(chain, chain.users[0], allowed=False)
    chain.rpc(SEND, raw)
    go(1)
    assert lender.loan()["status"] == "FAILED"
    roll_back(chain, 2)
    go(6)
    assert lender.loan()["status"] == "ACTIVE"
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def test_f43_the_time_a_request_waits_passes_and_its_loan_is_paid_out_once_all_the_same(
    chain: Chain, lender: PartnerClient, go: Go, accounts: Accounts
) -> None:
    answer = lender.post(
        "/partners/borrow",
        {
            "oaidTokenId": chain.users[0].oaid_token_id,
            "userWallet": chain.users[0].wallet,
            "borrowAmount": str(1_000 * DOLLAR),
            "partnerLoanId": "loan-1",
        },
        Prefer="wait=1",
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    again = lender.borrow(chain.users[0], 1_000)
    assert again.status_code == 409
    driver.drive_once()
    go(1)
    assert lender.loan()["status"] == "ACTIVE"
    accounts.check(paid_out=995 * DOLLAR, fees=5 * DOLLAR, debt=1_000 * DOLLAR)


def fund(chain: Chain, amount: int) -> None:
    """Somebody gives the platform account USDC."""
    data = encode_call("mint(address,uint256)", [chain.addresses["executor"], amount])
    _send(chain, chain.addresses["deployer"], data)


def drain(chain: Chain, amount: int) -> None:
    """The platform account's USDC goes elsewhere."""
    data = encode_call("transfer(address,uint256)", ["0x" + "11" * 20, amount])
    _send(chain, chain.addresses["executor"], data)


def _send(chain: Chain, sender: str, data: str) -> None:
    chain.rpc("anvil_impersonateAccount", sender)
    chain.rpc("anvil_setBalance", sender, hex(10**19))
    tx_hash = chain.rpc(
        "eth_sendTransaction", {"from": sender, "to": chain.addresses["usdc"], "data": data, "gas": hex(100_000)}
    )
    chain.mine()
    assert chain.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
