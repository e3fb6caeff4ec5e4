"""M5 for any history: the loans' debts add up to the pool's debt of the position, to the base unit.

Thousands of histories against the pool's arithmetic in Python, which is held against the contract itself below; and
histories through API, database and chain, compared with the chain after every step.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loans.debt.interest import OWN, SCALE, PositionDebt, allocate, close, draw, liquidate, repay, whole
from loans.ledger import ledger
from loans.models import PartnerLoan, SolvencyPosition
from loans.services import follow
from tests.loans.conftest import DOLLAR
from tests.support.actors import draw_on_chain, repay_on_chain, set_interest_rate

AMOUNTS = st.one_of(st.sampled_from([1, 2, 3]), st.integers(1, 10**13))
SECONDS = st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, 10**8))
RATES = st.sampled_from([0, 1, 500, 1_234, 9_999])


@dataclass
class Pool:
    """`SeniorPool.sol` for one position, line by line."""

    principal: int = 0
    accrued: int = 0
    rate: int = 0
    since: int = 0

    def at(self, moment: int) -> None:
        self.accrued += self.principal * self.rate * (moment - self.since)
        self.since = moment

    def draw(self, amount: int, moment: int, rate: int) -> None:
        self.at(moment)
        if self.principal == 0 and self.accrued == 0:
            self.rate = rate
        self.principal += amount

    def repay(self, amount: int, moment: int) -> None:
        self.at(moment)
        interest = whole(self.accrued)
        assert amount <= self.principal + interest
        if amount < interest:
            self.accrued -= amount * SCALE
        else:
            self.accrued = 0
            self.principal -= amount - interest

    @property
    def debt(self) -> int:
        return self.principal + whole(self.accrued)


@dataclass
class Books:
    """The pool, and its debt split over the loans."""

    loans: int  # how many at most
    pool: Pool = field(default_factory=Pool)
    debt: PositionDebt = field(default_factory=lambda: PositionDebt({}, 0, 0))
    moment: int = 1_000
    drawn: int = 0

    def step(self, data: st.DataObject) -> None:
        self.moment += data.draw(SECONDS)
        self.pool.at(self.moment)
        self.debt = self.debt.at(self.moment)
        self.check()
        actions = ["draw", "own"] if not self.pool.debt else ["draw", "own", "repay", "payoff", "user", "late payoff"]
        getattr(self, "_" + data.draw(st.sampled_from(actions)).replace(" ", "_"))(data)
        self.check()

    def check(self) -> None:
        owed = self.debt.owed()
        assert sum(owed.values()) == self.pool.debt
        assert (self.debt.principal, self.debt.accrued) == (self.pool.principal, self.pool.accrued)
        assert all(part.principal >= 0 and part.accrued >= 0 for part in self.debt.parts.values())
        assert not owed or self.debt.rate == self.pool.rate

    def _draw(self, data: st.DataObject) -> None:
        if self.drawn == self.loans and f"loan{self.drawn}" not in self.debt.parts:
            return
        if self.drawn < self.loans:
            self.drawn += 1
        self._take(f"loan{self.drawn}", data)

    def _own(self, data: st.DataObject) -> None:
        if self.loans > 1:
            self._take(OWN, data)

    def _take(self, key: str, data: st.DataObject) -> None:
        amount, rate = data.draw(AMOUNTS), data.draw(RATES)
        self.pool.draw(amount, self.moment, rate)
        self.debt = draw(self.debt, key, amount, moment=self.moment, pool_rate=rate)

    def _payer(self, data: st.DataObject) -> tuple[str, dict[str, int]]:
        owed = {key: debt for key, debt in self.debt.owed().items() if debt}
        return data.draw(st.sampled_from(sorted(owed))), owed

    def _repay(self, data: st.DataObject) -> None:
        key, owed = self._payer(data)
        self._pay({key: data.draw(st.integers(1, owed[key]))}, owed)

    def _payoff(self, data: st.DataObject) -> None:
        key, owed = self._payer(data)
        self._pay({key: owed[key]}, owed)
        assert key not in self.debt.parts

    def _user(self, data: st.DataObject) -> None:
        _, owed = self._payer(data)
        self._pay(allocate(owed, owed, data.draw(st.integers(1, self.pool.debt))), owed)

    def _pay(self, payments: dict[str, int], owed: dict[str, int]) -> None:
        self.pool.repay(sum(payments.values()), self.moment)
        self.debt = repay(self.debt, payments, moment=self.moment)
        after = self.debt.owed()
        for key, before in owed.items():  # each pays for itself; rounding may shift by a base unit among several
            assert abs(after.get(key, 0) - (before - payments.get(key, 0))) <= (len(owed) > 1)

    def _late_payoff(self, data: st.DataObject) -> None:
        """A payoff that was reckoned before others paid: a few base units too many or too few."""
        key, owed = self._payer(data)
        paid = min(max(owed[key] + data.draw(st.integers(-3, 3)), 1), self.pool.debt)
        self.pool.repay(paid, self.moment)
        self.debt, credited = close(self.debt, key, paid, moment=self.moment)
        assert sum(credited.values()) == paid
        assert key not in self.debt.parts or len(self.debt.parts) == 1


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), steps=st.integers(1, 25), loans=st.sampled_from([1, 2, 5]))
def test_the_loans_debts_add_up_to_the_positions_for_any_history(data: st.DataObject, steps: int, loans: int) -> None:
    books = Books(loans)
    for _ in range(steps):
        books.step(data)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), draws=st.integers(1, 5), recovered=st.floats(0, 1))
def test_a_liquidation_gives_each_its_share_and_loses_the_rest(
    data: st.DataObject, draws: int, recovered: float
) -> None:
    books = Books(loans=draws)
    for _ in range(draws):
        books._draw(data)
    books.debt = books.debt.at(books.moment + data.draw(SECONDS))
    owed, total = books.debt.owed(), books.debt.total
    paid = int(total * recovered) if recovered < 1 else total

    shares = liquidate(books.debt, paid, moment=books.debt.since)

    assert sum(share for share, _ in shares.values()) == paid
    assert sum(lost for _, lost in shares.values()) == total - paid
    for key, (share, lost) in shares.items():
        assert share >= 0
        assert lost >= 0
        assert share + lost == owed[key]
        assert abs(share * total - paid * owed[key]) <= total  # pro rata, to less than a base unit


# --- Through API, database and chain --------------------------------------------------------------------------------

ACTIONS = ("borrow", "borrow", "repay", "payoff", "user repays", "user draws", "time")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("several", [False, True], ids=["one loan", "several loans"])
@pytest.mark.parametrize("seed", range(3))
def test_books_and_chain_agree_after_every_step_of_a_random_history(chain, make_client, settle, several, seed):
    import random

    rnd = random.Random(f"{seed} {several}")  # noqa: S311 - a history, not a secret
    set_interest_rate(chain, rnd.choice([0, 500, 1_234]))
    clients, user = [make_client(0), make_client(1)], chain.users[2]
    for number in range(14):
        _act(chain, rnd, clients, user, f"loan-{number}", several=several)
        settle()
        follow.follow_chain()
        chain.pass_time(rnd.choice([1, 5, 86_400, 5_000_000]))
        _assert_equal(chain, user)


def _act(chain: Any, rnd: Any, clients: list[Any], user: Any, name: str, *, several: bool) -> None:
    live = list(PartnerLoan.objects.filter(status="ACTIVE"))
    action = rnd.choice(ACTIONS)
    if action == "borrow" and (several or not live):
        rnd.choice(clients).borrow(user, rnd.randint(1, 3_000), name)
    elif action == "user draws" and several:
        draw_on_chain(chain, user, rnd.randint(1, 50 * DOLLAR))
    elif live and action in ("repay", "payoff", "user repays"):
        loan = rnd.choice(live)
        client = next(client for client in clients if client.partner.pk == loan.partner_id)
        quote = client.get(f"/partners/loan/{loan.partner_loan_id}/payoff").json()
        if action == "user repays":
            repay_on_chain(chain, user.wallet, user, rnd.randint(1, chain.debt(user.position_id)))
        else:
            share = rnd.randint(1, int(quote["remainingDebt"]))
            amount = int(quote["payoffAmount"]) if action == "payoff" else share
            assert client.repay(amount, loan.partner_loan_id).status_code == 202


def _assert_equal(chain: Any, user: Any) -> None:
    debt = chain.debt(user.position_id)
    row = SolvencyPosition.objects.get(position_id=user.position_id)
    owed = ledger.debt_of(row, chain.now()).owed()
    assert sum(owed.values()) == debt
    from loans.debt import payoffs

    loans = PartnerLoan.objects.filter(solvency_position_id=user.position_id)
    shown = sum(payoffs.debt_at(loan, chain.now()) for loan in loans)
    assert shown == debt - owed.get(OWN, 0)
