"""A partner's figures by day: each change of a loan moves exactly its own, a reorg takes them back, the past is added.

The books without a chain (`tests.support.books_rows`); what the figures must be is added up here from the loans and
repayments, and defaults as this file saw them happen.
"""

import datetime as dt
import importlib
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from chain.models import ChainEvent, Operation
from loans.chain_order import order_of
from loans.ledger.movement import Movement
from loans.models import LedgerEntry, LoanStatus, OaidCredit, PartnerLoan, Repayment, SolvencyPosition
from loans.rollback.positions import rollback_ledger
from loans.services import onchain
from loans.services.lifecycle import cure, mark_defaulted
from loans.services.settle_borrow import settle_borrow
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.invariants import InvariantViolation
from partners.figures.daily_figures import COLUMNS, DayMove, move_days
from partners.models import Partner, PartnerDailyUsage
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory
from tests.support.acting import staff
from tests.support.books_rows import BLOCK_HASH, DAY, BooksRows, pool_log
from tests.support.planner import assert_uses_index

POOL = "0x" + "b0" * 20
NOON = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
ONE_DAY = dt.timedelta(days=1)
Figures = dict[dt.date, dict[str, int]]


def day(number: int) -> dt.date:
    """The day that is so many after the one that loans are accepted on."""
    return DAY + number * ONE_DAY


def figures(partner: Partner) -> Figures:
    """What is not 0, by day."""
    rows = PartnerDailyUsage.objects.filter(partner=partner).values("day", *COLUMNS)
    found = {row["day"]: {name: row[name] for name in COLUMNS if row[name]} for row in rows}
    return {of_day: values for of_day, values in sorted(found.items()) if values}


class Books:
    """A partner's loans on one position, and a chain whose blocks come one after another; `today` is both clocks'."""

    def __init__(self, **terms: Any) -> None:
        self.rows = BooksRows()
        self.partner = self.rows.partner(**terms)
        self.position = self.rows.position(reserved=10**9)
        self.today, self.block = 0, 100
        self.defaults: list[tuple[UUID, dt.date, int | None]] = []  # loan, day, place of a liquidation

    @property
    def now(self) -> dt.datetime:
        return NOON + self.today * ONE_DAY

    def movement(self) -> Movement:
        self.block += 1
        moment = int(self.now.timestamp())
        return Movement(
            position_id=self.position.position_id,
            block_number=self.block,
            log_index=3,
            timestamp=moment,
            tx_hash="0x" + "ab" * 32,
            block_hash=BLOCK_HASH,
            after=None,
        )

    def accept(self, principal: int = 1_000, fee: int = 5, state: str = "CONFIRMED") -> tuple[PartnerLoan, Operation]:
        """A PENDING loan that counts for `DAY`, and its operation as the next block ends it."""
        self.block += 1
        row = SolvencyPosition.objects.get(pk=self.position.pk)
        logs = [pool_log(POOL, row.position_id, row.pool_principal + principal, 0, 0)]
        operation = self.rows.operation(state, outcome_logs=logs, block_number=self.block, block_time=self.now)
        Partner.objects.filter(pk=self.partner.pk).update(current_outstanding=10**9)
        PartnerDailyUsage.objects.filter(partner=self.partner, day=DAY).update(borrowed=10**9)
        OaidCredit.objects.filter(oaid_token_id=row.oaid_token_id).update(reserved=10**9)
        loan = self.rows.loan(
            self.partner, self.position, principal, "PENDING", operation=operation, platform_fee_charged=fee
        )
        return loan, operation

    def draw(self, principal: int = 1_000, fee: int = 5) -> PartnerLoan:
        loan, operation = self.accept(principal, fee)
        run_in_transaction(lambda: settle_borrow(loan, operation))
        Operation.objects.filter(pk=operation.pk).update(acknowledged=True, reopened=True)
        return PartnerLoan.objects.get(pk=loan.pk)

    def pay(self, amount: int) -> None:
        """The user pays: the oldest loan first."""
        movement = self.movement()
        run_in_transaction(lambda: onchain.user_repaid(movement, self._event(movement, amount=amount)))

    def liquidate(self, recovered: int = 0) -> None:
        movement = self.movement()
        live = list(self.loans("ACTIVE", "DEFAULTED").values_list("pk", flat=True))
        run_in_transaction(lambda: onchain.liquidated(movement, self._event(movement, debtPaid=recovered)))
        self.defaults += [(pk, day(self.today), movement.order) for pk in live]

    def mark(self, loan: PartnerLoan) -> None:
        mark_defaulted(loan_id=loan.pk, actor=staff(), reason="Does not pay.")
        self.defaults.append((loan.pk, day(self.today), None))

    def undo(self, blocks: int) -> None:
        """The last blocks are gone."""
        first = order_of(self.block - blocks + 1, 0)
        drawn = LedgerEntry.objects.filter(order__gte=first, loan_id__isnull=False)
        undone = set(drawn.values_list("loan_id", flat=True))
        rollback_ledger(self.position.position_id, first)
        self.defaults = [
            (pk, of_day, order)
            for pk, of_day, order in self.defaults
            if pk not in undone and (order is None or order < first)
        ]

    def loans(self, *statuses: str) -> Any:
        return PartnerLoan.objects.filter(partner=self.partner, status__in=statuses).order_by("draw_order")

    def expected(self) -> Figures:
        """What the loans, the repayments and the defaults that were seen add up to."""
        sums: dict[dt.date, Counter[str]] = {}

        def add(of_day: dt.date, **changes: int) -> None:
            sums.setdefault(of_day, Counter()).update(changes)

        for loan in PartnerLoan.objects.filter(partner=self.partner).exclude(status__in=["PENDING", "FAILED"]):
            add(DAY, drawn=loan.principal_amount, drawn_loans=1, fees=loan.platform_fee_charged)
            if loan.status == LoanStatus.REPAID and loan.last_repayment_at is not None:
                add(loan.last_repayment_at.date(), repaid_loans=1)
        for repayment in Repayment.objects.filter(partner=self.partner, status="SETTLED"):
            assert repayment.settled_at is not None
            add(repayment.settled_at.date(), repaid=repayment.amount)
        for of_day in {pk: of_day for pk, of_day, _ in self.defaults}.values():  # of each loan the last
            add(of_day, defaulted_loans=1)
        return {of_day: dict(+counted) for of_day, counted in sorted(sums.items()) if +counted}

    def _event(self, movement: Movement, **args: int) -> ChainEvent:
        return ChainEvent(
            block_number=movement.block_number,
            log_index=3,
            block_hash=BLOCK_HASH,
            block_time=movement.timestamp,
            tx_hash=movement.tx_hash,
            name="SolvencyVault.any",
            position_id=movement.position_id,
            args={name: str(value) for name, value in args.items()},
        )


@pytest.fixture
def books(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Books:
    settings.SENIOR_POOL_ADDRESS = POOL
    made = Books()
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: made.now))
    return made


def test_a_loan_counts_once_it_is_paid_out_and_on_the_day_it_was_accepted_on(books: Books) -> None:
    loan, operation = books.accept(principal=1_000, fee=5)
    assert figures(books.partner) == {}
    books.today = 1
    run_in_transaction(lambda: settle_borrow(loan, operation))
    assert figures(books.partner) == {day(0): {"drawn": 1_000, "drawn_loans": 1, "fees": 5}}


def test_a_loan_that_fails_counts_nowhere(books: Books) -> None:
    loan, operation = books.accept(state="FAILED")
    run_in_transaction(lambda: settle_borrow(loan, operation))
    assert PartnerLoan.objects.get(pk=loan.pk).status == "FAILED"
    assert figures(books.partner) == {}


def test_a_payment_counts_on_the_day_of_its_block_and_the_one_that_closes_the_loan_counts_the_loan(
    books: Books,
) -> None:
    books.draw(1_000)
    other = PartnerFactory.create()
    books.today = 2
    books.pay(300)
    books.pay(100)
    books.today = 3
    books.pay(600)
    assert figures(books.partner) == {
        day(0): {"drawn": 1_000, "drawn_loans": 1, "fees": 5},
        day(2): {"repaid": 400},
        day(3): {"repaid": 600, "repaid_loans": 1},
    }
    assert figures(other) == {}


def test_a_payment_that_two_loans_share_counts_for_both(books: Books) -> None:
    books.draw(1_000)
    books.draw(500)
    books.today = 1
    books.pay(1_200)
    assert figures(books.partner)[day(1)] == {"repaid": 1_200, "repaid_loans": 1}


def test_a_loan_that_defaults_is_cured_defaults_again_and_is_liquidated_counts_once_on_the_last_of_these_days(
    books: Books,
) -> None:
    loan = books.draw(1_000)
    drawn = {day(0): {"drawn": 1_000, "drawn_loans": 1, "fees": 5}}
    books.today = 1
    books.mark(loan)
    assert figures(books.partner) == drawn | {day(1): {"defaulted_loans": 1}}
    books.today = 2
    cure(loan_id=loan.pk, actor=staff())
    assert figures(books.partner) == drawn | {day(1): {"defaulted_loans": 1}}
    books.today = 4
    books.mark(loan)
    assert figures(books.partner) == drawn | {day(4): {"defaulted_loans": 1}}
    books.today = 6
    books.liquidate(recovered=400)
    assert figures(books.partner) == drawn | {day(6): {"repaid": 400, "defaulted_loans": 1}}
    books.undo(1)
    assert figures(books.partner) == drawn | {day(4): {"defaulted_loans": 1}}
    assert PartnerLoan.objects.get(pk=loan.pk).default_day == day(4)


def test_what_is_liquidated_counts_without_having_defaulted(books: Books) -> None:
    books.draw(1_000)
    books.draw(500)
    books.today = 1
    books.liquidate()
    assert figures(books.partner)[day(1)] == {"defaulted_loans": 2}


def test_a_reorg_takes_back_exactly_what_it_undoes(books: Books) -> None:
    loan = books.draw(1_000)
    before = figures(books.partner)
    books.today = 1
    books.pay(300)
    part = figures(books.partner)
    books.today = 2
    books.pay(700)
    books.undo(1)
    assert figures(books.partner) == part
    books.block -= 1
    books.undo(1)
    assert figures(books.partner) == before
    books.mark(loan)
    books.block -= 1
    books.undo(1)
    assert PartnerLoan.objects.get(pk=loan.pk).status == "PENDING"
    assert PartnerLoan.objects.get(pk=loan.pk).default_day is None
    assert figures(books.partner) == {}


def test_a_default_that_came_after_a_payment_stays_where_that_payment_is_undone(books: Books) -> None:
    loan = books.draw(1_000)
    books.pay(300)
    books.today = 3
    books.mark(loan)
    books.undo(1)
    assert figures(books.partner)[day(3)] == {"defaulted_loans": 1}
    assert PartnerLoan.objects.get(pk=loan.pk).default_day == day(3)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_history_the_days_equal_what_the_loans_and_repayments_add_up_to(books: Books, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(20):
        _step(books, chance)
        assert figures(books.partner) == books.expected()


def _step(books: Books, chance: random.Random) -> None:
    act = chance.choice(["draw", "draw", "draw", "pay", "pay", "close", "mark", "cure", "liquidate", "undo", "later"])
    live, defaulted = list(books.loans("ACTIVE", "DEFAULTED")), list(books.loans("DEFAULTED"))
    owed = sum(loan.outstanding_principal for loan in live)
    if act == "draw":
        books.draw(chance.randrange(100, 900), chance.randrange(5))
    elif act == "later":
        books.today += chance.randrange(1, 3)
    elif act == "undo" and LedgerEntry.objects.count():
        books.undo(chance.randrange(1, 4))
    elif act in ("pay", "close") and owed:
        books.pay(live[0].outstanding_principal if act == "close" else chance.randrange(1, owed + 1))
    elif act == "mark" and (active := list(books.loans("ACTIVE"))):
        books.mark(chance.choice(active))
    elif act == "cure" and defaulted:
        cure(loan_id=chance.choice(defaulted).pk, actor=staff())
    elif act == "liquidate" and live and chance.random() < 0.5:
        books.liquidate(chance.randrange(owed + 1))


def test_the_past_is_filled_in_with_the_sums_that_live_counting_made(books: Books) -> None:
    chance = random.Random(11)  # noqa: S311
    for _ in range(25):
        _step(books, chance)
    books.draw(300)
    books.pay(sum(loan.outstanding_principal for loan in books.loans("ACTIVE", "DEFAULTED")))
    cured = books.draw(100)
    books.mark(cured)
    cure(loan_id=cured.pk, actor=staff())
    fresh = books.draw(200)
    books.today += 1
    books.mark(fresh)
    books.draw(50)
    live, rows = figures(books.partner), PartnerDailyUsage.objects.count()
    days = dict(PartnerLoan.objects.values_list("pk", "default_day"))
    assert {"drawn", "repaid", "repaid_loans", "defaulted_loans"} <= {name for of in live.values() for name in of}
    PartnerDailyUsage.objects.update(**dict.fromkeys(COLUMNS, 7))
    PartnerDailyUsage.objects.filter(borrowed=0).delete()
    PartnerLoan.objects.update(default_day=None)
    migration = importlib.import_module("loans.migrations.0017_days_of_the_past")

    for _ in range(2):  # stopped at its end and begun again, it says the same
        run_in_transaction(lambda: migration.count_the_past(apps, SimpleNamespace(connection=connection)))
        assert figures(books.partner) == live
        assert PartnerDailyUsage.objects.count() <= rows
        assert dict(PartnerLoan.objects.values_list("pk", "default_day")) == days


@pytest.mark.django_db(transaction=True)
def test_payments_at_once_on_a_day_that_has_no_row_make_one_row_with_all_of_them() -> None:
    partner = PartnerFactory.create()
    at_once(8, lambda _: run_in_transaction(lambda: move_days([DayMove(partner.pk, DAY, {"repaid": 3})])))
    assert PartnerDailyUsage.objects.get(partner=partner).repaid == 24


@pytest.mark.django_db
def test_the_moves_of_a_day_are_one_update(django_assert_num_queries: Any) -> None:
    partner = PartnerFactory.create()
    moves = [DayMove(partner.pk, DAY, {"repaid": 3}), DayMove(partner.pk, DAY, {"repaid": 4, "fees": 1, "drawn": 0})]
    move_days(moves)
    with django_assert_num_queries(1):
        move_days(moves)
    assert figures(partner) == {DAY: {"repaid": 14, "fees": 2}}


@pytest.mark.django_db
@pytest.mark.parametrize("column", COLUMNS)
def test_a_figure_that_would_pass_below_zero_is_a_named_invariant_and_nothing_moves(column: str) -> None:
    partner = PartnerFactory.create()
    run_in_transaction(lambda: move_days([DayMove(partner.pk, DAY, {"repaid": 9, column: 4})]))
    before = figures(partner)
    also = DayMove(partner.pk, day(-1), {"drawn": 1})
    for move in (DayMove(partner.pk, DAY, {column: -14}), DayMove(partner.pk, day(1), {column: -1})):
        with pytest.raises(InvariantViolation, match="M4"):
            run_in_transaction(lambda move=move: move_days([also, move]))  # type: ignore[misc]
        assert figures(partner) == before


@pytest.mark.django_db
def test_the_row_of_a_day_is_found_by_an_index() -> None:
    assert_uses_index(PartnerDailyUsage.objects.filter(partner_id=UUID(int=1), day=DAY, repaid__gte=1))
