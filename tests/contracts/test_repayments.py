"""Repayments through the executor: exact, never more than asked for, and undone with what they pulled."""

import pytest

from chain.lending.encoding import Call, encode_call
from chain.lending.fast_codec import function
from tests.contracts.lab import CREDIT, USDC, Borrower, Lab

DEBT = 1_000 * USDC


@pytest.fixture
def indebted(lab: Lab, borrower: Borrower) -> Borrower:
    """Owes $1,000, which the settlement address got; it lets the executor pull."""
    lab.run(("loan", lab.borrow_calls(borrower.position, DEBT)))
    lab.approve(lab.settlement, lab.executor, 2**256 - 1)
    return borrower


def test_a_pulled_repayment_moves_exactly_its_amount(lab: Lab, indebted: Borrower) -> None:
    receipt = lab.run(("repay", [lab.pull_call(400 * USDC), lab.repay_call(indebted.position, 400 * USDC)]))

    repaid = lab.events(receipt, "PlatformExecutor", "Repaid")
    assert repaid == [{"positionId": indebted.position, "paid": 400 * USDC, "debtAfter": 600 * USDC}]
    assert lab.debt(indebted.position) == 600 * USDC
    assert lab.balance(lab.settlement.address) == 600 * USDC
    assert lab.balance(lab.executor) == 0
    assert lab.credit_line(indebted.oaid) == (CREDIT, 600 * USDC, True)
    assert lab.read("MockUSDC", lab.usdc, "allowance", lab.executor, lab.vault) == 0


def test_a_repayment_above_the_debt_fails_and_gives_back_what_it_pulled(lab: Lab, indebted: Borrower) -> None:
    lab.fund_usdc(lab.settlement.address, 1)
    receipt = lab.run(("repay", [lab.pull_call(DEBT + 1), lab.repay_call(indebted.position, DEBT + 1)]))

    reason = f"RepaymentExceedsDebt(positionId={indebted.position}, debt={DEBT}, amount={DEBT + 1})"
    assert [outcome for _, outcome in lab.outcomes(receipt)] == [reason]
    assert lab.balance(lab.settlement.address) == DEBT + 1
    assert lab.debt(indebted.position) == DEBT


@pytest.mark.parametrize(
    ("amount", "paid"),
    [(DEBT, DEBT), (DEBT + 7, DEBT), (DEBT - 7, DEBT - 7)],
    ids=["the debt", "more than the debt", "less than the debt"],
)
def test_closing_pays_the_debt_and_never_more_than_the_amount(
    lab: Lab, indebted: Borrower, amount: int, paid: int
) -> None:
    lab.fund_usdc(lab.executor, amount)
    receipt = lab.run(("close", [lab.repay_call(indebted.position, amount, close=True)]))

    (repaid,) = lab.events(receipt, "PlatformExecutor", "Repaid")
    assert (repaid["paid"], repaid["debtAfter"]) == (paid, DEBT - paid)
    assert lab.debt(indebted.position) == DEBT - paid
    assert lab.balance(lab.executor) == amount - paid


def test_closing_what_owes_nothing_fails_and_pulls_nothing(lab: Lab, borrower: Borrower) -> None:
    lab.fund_usdc(lab.settlement.address, USDC)
    lab.approve(lab.settlement, lab.executor, USDC)
    receipt = lab.run(("close", [lab.pull_call(USDC), lab.repay_call(borrower.position, USDC, close=True)]))

    assert [outcome for _, outcome in lab.outcomes(receipt)] == [f"NothingOwed(positionId={borrower.position})"]
    assert lab.balance(lab.settlement.address) == USDC


def test_a_payoff_with_interest_is_exact_in_the_block_it_runs_in(lab: Lab, borrower: Borrower) -> None:
    lab.set_rate(1_000)
    receipt = lab.run(("loan", lab.borrow_calls(borrower.position, DEBT)))
    start = lab.block_time(receipt)
    seconds = 30 * 86_400 + 12_345
    owed = DEBT + -(-DEBT * 1_000 * seconds // (10_000 * 365 * 86_400))
    lab.fund_usdc(lab.executor, 2 * DEBT)

    lab.next_block_at(start + seconds)
    receipt = lab.run(("close", [lab.repay_call(borrower.position, 2 * DEBT, close=True)]))

    (repaid,) = lab.events(receipt, "PlatformExecutor", "Repaid")
    assert (repaid["paid"], repaid["debtAfter"]) == (owed, 0)
    assert lab.debt(borrower.position) == 0
    assert lab.credit_line(borrower.oaid) == (CREDIT, 0, True)
    assert lab.balance(lab.executor) == 2 * DEBT - owed


@pytest.mark.parametrize("later", [0, 3_600], ids=["the block's own time", "an hour later"])
def test_a_payoff_on_terms_of_a_later_time_than_its_block_owes_no_interest_yet(
    lab: Lab, indebted: Borrower, later: int
) -> None:
    block = lab.now() + 1_000
    loan = (DEBT, 0, 0, 0, 1_000, block + later)
    data = function("PlatformExecutor", "payoff").encode(
        lab.vault, indebted.position, loan, 2 * DEBT, lab.settlement.address
    )
    lab.fund_usdc(lab.settlement.address, DEBT)

    lab.next_block_at(block)
    receipt = lab.run(("payoff", [Call(lab.executor, 0, data)]))

    assert lab.block_time(receipt) == block
    (repaid,) = lab.events(receipt, "PlatformExecutor", "Repaid")
    assert (repaid["paid"], repaid["debtAfter"]) == (DEBT, 0)


def test_a_settlement_address_without_allowance_fails_alone(lab: Lab, indebted: Borrower) -> None:
    lab.approve(lab.settlement, lab.executor, 0)
    receipt = lab.run(
        ("repay", [lab.pull_call(USDC), lab.repay_call(indebted.position, USDC)]),
        ("another loan", lab.borrow_calls(indebted.position, USDC)),
    )

    happened = [outcome for _, outcome in lab.outcomes(receipt)]
    assert happened == [f"ERC20InsufficientAllowance(spender={lab.executor}, allowance=0, needed={USDC})", "EXECUTED"]


def test_anyone_may_repay_on_the_vault_itself(lab: Lab, indebted: Borrower) -> None:
    lab.fund_usdc(lab.stranger.address, USDC)
    lab.approve(lab.stranger, lab.vault, USDC)
    (receipt,) = lab.send(
        lab.stranger, Call(lab.vault, 0, encode_call("repayLoan(uint256,uint256)", [indebted.position, USDC]))
    )

    paid = lab.events(receipt, "SolvencyVault", "LoanRepaid")
    assert paid == [{"positionId": indebted.position, "payer": lab.stranger.address, "amount": USDC}]
    assert lab.debt(indebted.position) == DEBT - USDC


def test_a_pulled_payoff_stays_well_below_the_gas_of_an_operation(lab: Lab, indebted: Borrower) -> None:
    lab.set_rate(1_000)
    receipt = lab.run(("close", [lab.pull_call(DEBT), lab.repay_call(indebted.position, DEBT, close=True)]))

    assert [outcome for _, outcome in lab.outcomes(receipt)] == ["EXECUTED"]
    assert int(receipt["gasUsed"], 16) < 200_000
