"""`payoff`: what one loan owes in the block it runs in, from whom, and how much at most."""

import pytest

from chain.lending.bundles import OutcomeStatus
from chain.lending.encoding import Call, encode_call
from chain.lending.revert_data import describe_revert
from loans.debt.interest import NOTHING, SCALE, Part, loan_debt
from tests.contracts.lab import USDC, Borrower, Lab

DEBT = 1_000 * USDC
NOBODY = "0x" + "00" * 20
YEAR = 365 * 86_400


@pytest.fixture
def indebted(lab: Lab, borrower: Borrower) -> Borrower:
    """Owes $1,000, which the settlement address got; it lets the executor pull."""
    lab.run(("loan", lab.borrow_calls(borrower.position, DEBT)))
    lab.approve(lab.settlement, lab.executor, 2**256 - 1)
    return borrower


def loan_of(principal: int) -> tuple[int, ...]:
    """A loan alone on its position, without interest."""
    return (principal, 0, 0, 0, 0, 0)


def paid_by(lab: Lab, call: Call) -> tuple[int, int]:
    """`(paid, debtAfter)` of a payoff that is mined."""
    receipt = lab.run((f"payoff-{lab.client.block_number()}", [call]))
    (repaid,) = lab.events(receipt, "PlatformExecutor", "Repaid")
    (at_the_vault,) = lab.events(receipt, "SolvencyVault", "LoanRepaid")
    told = {"positionId": repaid["positionId"], "payer": lab.executor, "amount": repaid["paid"]}
    assert at_the_vault == told
    return repaid["paid"], repaid["debtAfter"]


def test_nobody_but_an_operation_pays_off_and_no_allowance_is_touched(lab: Lab, indebted: Borrower) -> None:
    """Else anybody could spend what a partner lets the executor pull."""
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=DEBT, payer=lab.settlement.address)
    for caller in (lab.operator.address, lab.owner.address, lab.stranger.address, indebted.keys.address, lab.vault):
        assert lab.refusal(caller, payoff) == f"OnlySelf(caller={caller})"
    receipt = lab.mine_unsigned(lab.stranger.address, payoff, 500_000)

    assert receipt["status"] == "0x0"
    assert lab.balance(lab.settlement.address) == DEBT
    assert lab.debt(indebted.position) == DEBT
    assert paid_by(lab, payoff) == (DEBT, 0)


@pytest.mark.parametrize("most", [1, DEBT - 1, DEBT], ids=["a unit", "a unit less than the debt", "the debt"])
def test_no_more_than_most_is_pulled_and_paid(lab: Lab, indebted: Borrower, most: int) -> None:
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=most, payer=lab.settlement.address)

    assert paid_by(lab, payoff) == (most, DEBT - most)
    assert lab.balance(lab.settlement.address) == DEBT - most
    assert lab.debt(indebted.position) == DEBT - most


@pytest.mark.parametrize("paid_before", [1, 400 * USDC])
def test_no_more_than_the_position_owes_is_pulled_and_paid(lab: Lab, indebted: Borrower, paid_before: int) -> None:
    """Somebody paid at the vault meanwhile: the terms say more than the position owes."""
    lab.fund_usdc(lab.stranger.address, paid_before)
    lab.approve(lab.stranger, lab.vault, paid_before)
    repay = encode_call("repayLoan(uint256,uint256)", [indebted.position, paid_before])
    lab.send(lab.stranger, Call(lab.vault, 0, repay))
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=2 * DEBT, payer=lab.settlement.address)

    assert paid_by(lab, payoff) == (DEBT - paid_before, 0)
    assert lab.balance(lab.settlement.address) == paid_before


def test_no_more_than_the_loan_owes_is_pulled_and_the_other_loans_stay(lab: Lab, indebted: Borrower) -> None:
    payoff = lab.payoff_call(indebted.position, loan_of(300 * USDC), most=DEBT, payer=lab.settlement.address)

    assert paid_by(lab, payoff) == (300 * USDC, 700 * USDC)
    assert lab.balance(lab.settlement.address) == 700 * USDC


@pytest.mark.parametrize(
    ("loan", "most"), [(loan_of(0), DEBT), (loan_of(DEBT), 0)], ids=["of the loan", "at most nothing"]
)
def test_where_nothing_is_owed_it_fails(lab: Lab, indebted: Borrower, loan: tuple, most: int) -> None:
    payoff = lab.payoff_call(indebted.position, loan, most=most, payer=lab.settlement.address)
    (outcome,) = lab.simulate(("payoff", [payoff]))
    assert describe_revert(outcome.reason) == f"NothingOwed(positionId={indebted.position})"


def test_of_a_position_without_debt_it_fails_and_pulls_nothing(lab: Lab, borrower: Borrower) -> None:
    lab.fund_usdc(lab.settlement.address, USDC)
    lab.approve(lab.settlement, lab.executor, USDC)
    payoff = lab.payoff_call(borrower.position, loan_of(USDC), most=USDC, payer=lab.settlement.address)

    receipt = lab.run(("payoff", [payoff]))

    assert [outcome for _, outcome in lab.outcomes(receipt)] == [f"NothingOwed(positionId={borrower.position})"]
    assert lab.balance(lab.settlement.address) == USDC


def test_without_a_payer_the_account_itself_pays(lab: Lab, indebted: Borrower) -> None:
    lab.fund_usdc(lab.executor, DEBT + 7)
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=DEBT, payer=NOBODY)

    assert paid_by(lab, payoff) == (DEBT, 0)
    assert lab.balance(lab.executor) == 7
    assert lab.balance(lab.settlement.address) == DEBT  # nothing was pulled, though it might have been
    assert lab.read("MockUSDC", lab.usdc, "allowance", lab.executor, lab.vault) == 0


def test_a_payer_pays_all_of_it_and_the_account_nothing(lab: Lab, indebted: Borrower) -> None:
    lab.fund_usdc(lab.executor, DEBT)
    lab.approve(lab.settlement, lab.executor, DEBT - 1)
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=DEBT, payer=lab.settlement.address)

    receipt = lab.run(("payoff", [payoff]))

    refusal = f"ERC20InsufficientAllowance(spender={lab.executor}, allowance={DEBT - 1}, needed={DEBT})"
    assert [outcome for _, outcome in lab.outcomes(receipt)] == [refusal]
    assert lab.balance(lab.executor) == DEBT
    assert lab.debt(indebted.position) == DEBT


@pytest.mark.parametrize(
    ("loan", "prior", "rate", "seconds"),
    [
        (Part(100 * USDC), NOTHING, 1_000, YEAR),  # ten per cent of a hundred dollars
        (Part(100 * USDC), NOTHING, 1_000, 1),  # a fraction of a base unit is rounded up
        (Part(7 * USDC, SCALE - 1), NOTHING, 0, 10),  # of what had accrued before, too
        (Part(7 * USDC, SCALE + 1), NOTHING, 0, 10),
        (Part(7 * USDC, 3 * SCALE), NOTHING, 725, 12_345),
        (Part(7 * USDC, 1), Part(0, 1), 0, 10),  # the loan before it took the rounding already
        (Part(7 * USDC, 1), Part(0, SCALE), 0, 10),
        (Part(7 * USDC, 5), Part(3 * USDC, 7), 333, 86_401),  # and goes on growing
        (Part(9 * USDC, SCALE // 2), Part(50 * USDC, SCALE // 3), 9_999, YEAR // 7),
        (Part(9 * USDC), Part(0, SCALE - 1), 0, 10),  # no interest of its own
    ],
)
def test_what_a_loan_owes_is_the_books_figure_to_the_base_unit(
    lab: Lab, indebted: Borrower, loan: Part, prior: Part, rate: int, seconds: int
) -> None:
    since = lab.now()
    terms = (loan.principal, loan.accrued_scaled, prior.principal, prior.accrued_scaled, rate, since)
    payoff = lab.payoff_call(indebted.position, terms, most=DEBT, payer=lab.settlement.address)
    owed = loan_debt(loan, prior, rate, seconds)

    lab.next_block_at(since + seconds)

    assert paid_by(lab, payoff) == (owed, DEBT - owed)


def test_it_is_an_operation_like_any_other(lab: Lab, indebted: Borrower) -> None:
    payoff = lab.payoff_call(indebted.position, loan_of(DEBT), most=DEBT, payer=lab.settlement.address)
    outcomes = lab.simulate(("payoff", [payoff]), ("payoff", [payoff]), ("another", [payoff]))
    assert [outcome.status for outcome in outcomes] == [
        OutcomeStatus.EXECUTED,
        OutcomeStatus.SKIPPED,
        OutcomeStatus.FAILED,
    ]
