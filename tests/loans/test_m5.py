"""M5 for any history: the loans' debts add up to the pool's debt of the position, to the base unit.

Thousands of histories against the pool's arithmetic in Python, which is held against the contract itself below; and
histories through API, database and chain, compared with the chain after every step.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loans.debt import payoffs
from loans.debt.interest import (
    NOTHING,
    OWN,
    SCALE,
    Part,
    PositionDebt,
    PositionSums,
    after_draw,
    after_payment,
    after_payoff,
    allocate,
    divide_recovered,
    sums_after_payment,
    to_base_units,
)
from loans.ledger import shares
from loans.models import PartnerLoan, SolvencyPosition
from loans.services import follow
from tests.factories import DOLLAR
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
        interest = to_base_units(self.accrued)
        assert amount <= self.principal + interest
        if amount < interest:
            self.accrued -= amount * SCALE
        else:
            self.accrued = 0
            self.principal -= amount - interest

    @property
    def debt(self) -> int:
        return self.principal + to_base_units(self.accrued)


@dataclass
class Books:
    """The pool, and the books of one position as they are in production: its row's sums, and its loans' rows.

    The rows are not saved; all that is written to them is worked out by `debt.interest` and `ledger.shares`.
    """

    most_loans: int
    pool: Pool = field(default_factory=Pool)
    sums: PositionSums = field(default_factory=lambda: PositionSums(NOTHING, NOTHING, 0, 0))
    loans: list[PartnerLoan] = field(default_factory=list)  # that owe something, in the order of the draws
    now: int = 1_000
    drawn: int = 0

    def step(self, data: st.DataObject) -> None:
        self.pass_time(data)
        actions = ["draw", "own"] if not self.pool.debt else ["draw", "own", "repay", "payoff", "user", "late payoff"]
        getattr(self, "_" + data.draw(st.sampled_from(actions)).replace(" ", "_"))(data)
        self.check()

    def pass_time(self, data: st.DataObject) -> None:
        self.now += data.draw(SECONDS)
        self.pool.at(self.now)
        self.check()

    def debt(self) -> PositionDebt:
        return shares.divided(self.sums.at(self.now), self.loans)

    def check(self) -> None:
        sums, debt = self.sums.at(self.now), self.debt()
        owed = debt.owed()
        assert sum(owed.values()) == self.pool.debt == sums.pool_debt
        assert (debt.principal, debt.accrued_scaled) == (self.pool.principal, self.pool.accrued)
        assert all(part.principal >= 0 and part.accrued_scaled >= 0 for part in debt.parts.values())
        assert not owed or debt.rate_bps == self.pool.rate
        # The position's running sums of its loans, and what the API shows of each from its own row alone.
        parts = [shares.part_of(loan, self.now) for loan in self.loans]
        assert sums.loans == Part(sum(p.principal for p in parts), sum(p.accrued_scaled for p in parts))
        assert [payoffs.debt_at(loan, self.now) for loan in self.loans] == [owed[str(loan.pk)] for loan in self.loans]

    def _draw(self, data: st.DataObject) -> None:
        if len(self.loans) < self.most_loans:
            amount, rate = data.draw(AMOUNTS), data.draw(RATES)
            before = self._draw_at_the_pool(amount, rate, by_loan=True)
            self.drawn += 1
            loan = PartnerLoan(
                pk=UUID(int=self.drawn), status="ACTIVE", principal_amount=amount, outstanding_principal=amount
            )
            _update(loan, shares.drawn_figures(before, self.sums, amount, draw_order=self.now))
            self.loans.append(loan)

    def _own(self, data: st.DataObject) -> None:
        if self.most_loans > 1:
            self._draw_at_the_pool(data.draw(AMOUNTS), data.draw(RATES), by_loan=False)

    def _draw_at_the_pool(self, amount: int, rate: int, *, by_loan: bool) -> PositionSums:
        self.pool.draw(amount, self.now, rate)
        before = self.sums.at(self.now)
        self.sums = after_draw(before, amount, by_loan=by_loan, pool_rate_bps=rate)
        return before

    def _payer(self, data: st.DataObject) -> tuple[str, dict[str, int]]:
        owed = {key: debt for key, debt in self.debt().owed().items() if debt}
        return data.draw(st.sampled_from(sorted(owed))), owed

    def _repay(self, data: st.DataObject) -> None:
        key, owed = self._payer(data)
        self._pay({key: data.draw(st.integers(1, owed[key]))}, owed)

    def _payoff(self, data: st.DataObject) -> None:
        key, owed = self._payer(data)
        self._pay({key: owed[key]}, owed)
        assert key not in self.debt().parts

    def _user(self, data: st.DataObject) -> None:
        _, owed = self._payer(data)
        self._pay(allocate(owed, owed, data.draw(st.integers(1, self.pool.debt))), owed)

    def _pay(self, paid: dict[str, int], owed: dict[str, int]) -> None:
        self.pool.repay(sum(paid.values()), self.now)
        self._write(after_payment(self.debt(), paid), paid, next(iter(paid)))
        after = self.debt().owed()
        for key, before in owed.items():  # each pays for itself; rounding may shift by a base unit among several
            assert abs(after.get(key, 0) - (before - paid.get(key, 0))) <= (len(owed) > 1)

    def _late_payoff(self, data: st.DataObject) -> None:
        """A payoff that was computed before others paid: a few base units too many or too few.

        By the executor, from the loan's principal of then and its interest: so never less than that principal.
        """
        live = [loan for loan in self.loans if self.debt().owed()[str(loan.pk)]]
        if not live:
            return
        loan = data.draw(st.sampled_from(live))
        key = str(loan.pk)
        owed = self.debt().owed()[key]
        least = loan.outstanding_principal if self.sums.rate_bps else owed
        paid = min(max(owed + data.draw(st.integers(-3, 3)), least, 1), self.pool.debt)
        self.pool.repay(paid, self.now)
        after, credited = after_payoff(self.debt(), key, paid)
        self._write(after, credited, key)
        assert sum(credited.values()) == paid
        assert key not in self.debt().parts or len(self.debt().parts) == 1

    def _write(self, after: PositionDebt, paid: dict[str, int], key: str) -> None:
        before = self.debt()
        target = next((loan for loan in self.loans if str(loan.pk) == key), None)
        self.sums = sums_after_payment(self.sums.at(self.now), before, after)
        for payment in shares.applied_payments(self.loans, before, after, paid, target):
            assert payment.principal >= 0
            assert payment.interest >= 0
            payment.loan.outstanding_principal -= payment.principal
            _update(payment.loan, payment.changes)
            if payment.closes:
                assert payment.loan.outstanding_principal == 0
                payment.loan.status = "REPAID"
        self.loans = [loan for loan in self.loans if loan.status != "REPAID"]


def _update(loan: PartnerLoan, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(loan, name, value)


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
    books = Books(most_loans=draws)
    for _ in range(draws):
        books._draw(data)
    books.pass_time(data)
    debt = books.debt()
    owed, total = debt.owed(), debt.total
    paid = int(total * recovered) if recovered < 1 else total

    divided = divide_recovered(debt, paid)

    assert sum(share for share, _ in divided.values()) == paid
    assert sum(lost for _, lost in divided.values()) == total - paid
    for key, (share, lost) in divided.items():
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
    owed = shares.divided(shares.sums_of(row).at(chain.now()), shares.live_loans(user.position_id)).owed()
    assert sum(owed.values()) == debt
    loans = PartnerLoan.objects.filter(solvency_position_id=user.position_id)
    shown = sum(payoffs.debt_at(loan, chain.now()) for loan in loans)
    assert shown == debt - owed.get(OWN, 0)
