"""SeniorPool: simple interest by the second, rounded up only when read or paid, to the base unit."""

import random
from dataclasses import dataclass

import pytest

from chain.lending.encoding import Call, encode_call
from tests.contracts.lab import CREDIT, USDC, Borrower, Lab

SCALE = 10_000 * 365 * 86_400


@dataclass
class Model:
    """The pool's books of one position in Python, as its documentation states them."""

    rate: int
    principal: int = 0
    accrued: int = 0
    since: int = 0

    def advance(self, now: int) -> None:
        self.accrued += self.principal * self.rate * (now - self.since)
        self.since = now

    @property
    def interest(self) -> int:
        return -(-self.accrued // SCALE)

    def pay(self, amount: int) -> None:
        interest = min(amount, self.interest)
        self.accrued = max(self.accrued - interest * SCALE, 0)
        self.principal -= amount - interest


def repay(lab: Lab, borrower: Borrower, amount: int) -> Call:
    return Call(lab.vault, 0, encode_call("repayLoan(uint256,uint256)", [borrower.position, amount]))


def debts(lab: Lab, borrower: Borrower) -> tuple[int, int, int, int]:
    principal, interest, accrued, rate = lab.read("SeniorPool", lab.pool, "debts", borrower.position)
    return principal, interest, accrued, rate


def test_there_is_no_interest_unless_the_owner_sets_a_rate(lab: Lab, borrower: Borrower) -> None:
    (receipt,) = lab.send(borrower.keys, lab.vault_borrow(borrower.position, 100 * USDC))
    lab.next_block_at(lab.block_time(receipt) + 365 * 86_400)
    lab.client.call("evm_mine")

    assert lab.debt(borrower.position) == 100 * USDC


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_history_of_draws_and_payments_owes_what_the_formula_says(lab: Lab, borrower: Borrower, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable history, not a secret
    model = Model(rate=chance.randrange(1, 3_000))
    lab.set_rate(model.rate)
    lab.fund_usdc(borrower.keys.address, CREDIT)
    lab.approve(borrower.keys, lab.vault, 2**255)
    now = lab.now()

    for _ in range(25):
        now += chance.choice([1, 2, 3_601, chance.randrange(1, 4_000_000)])
        model.advance(now)
        owed = model.principal + model.interest
        lab.next_block_at(now)
        if owed == 0 or chance.random() < 0.5:
            amount = chance.randrange(1, CREDIT // 100)
            lab.send(borrower.keys, lab.vault_borrow(borrower.position, amount))
            model.principal += amount
        else:
            amount = chance.choice([1, model.interest or 1, owed, chance.randrange(1, owed + 1)])
            lab.send(borrower.keys, repay(lab, borrower, amount))
            model.pay(amount)
        assert debts(lab, borrower)[:3] == (model.principal, model.interest, model.accrued)
        assert lab.credit_line(borrower.oaid)[1] == model.principal


def test_the_rate_of_the_first_draw_holds_until_the_debt_is_zero(lab: Lab, borrower: Borrower) -> None:
    lab.fund_usdc(borrower.keys.address, USDC)
    lab.approve(borrower.keys, lab.vault, 2**255)
    lab.set_rate(500)
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 100))
    lab.set_rate(900)
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 100))
    assert debts(lab, borrower)[3] == 500

    lab.next_block_at(lab.now() + 1)
    lab.send(borrower.keys, repay(lab, borrower, 201))
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 100))
    assert debts(lab, borrower)[3] == 900


def test_interest_is_rounded_up_and_one_unit_more_is_refused(lab: Lab, borrower: Borrower) -> None:
    lab.fund_usdc(borrower.keys.address, USDC)
    lab.approve(borrower.keys, lab.vault, 2**255)
    lab.set_rate(1)
    (receipt,) = lab.send(borrower.keys, lab.vault_borrow(borrower.position, 1))
    lab.next_block_at(lab.block_time(receipt) + 1)
    lab.client.call("evm_mine")

    assert lab.debt(borrower.position) == 2
    assert lab.refusal(borrower.keys.address, repay(lab, borrower, 3)) == (
        f"RepaymentExceedsDebt(positionId={borrower.position}, debt=2, amount=3)"
    )


def test_what_is_not_lent_is_the_owners_to_take_and_no_more(lab: Lab, borrower: Borrower) -> None:
    lab.send(borrower.keys, lab.vault_borrow(borrower.position, 100 * USDC))
    left = lab.balance(lab.pool)
    take = [Call(lab.pool, 0, encode_call("withdrawLiquidity(uint256)", [amount])) for amount in (left + 1, left)]
    assert "ERC20InsufficientBalance" in str(lab.refusal(lab.owner.address, take[0]))

    lab.send(lab.owner, take[1])

    assert lab.balance(lab.pool) == 0
    assert "ERC20InsufficientBalance" in str(lab.refusal(borrower.keys.address, lab.vault_borrow(borrower.position, 1)))
