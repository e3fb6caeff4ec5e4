"""A position's running sums of its loans against the loans: principal, and where that agrees their interest."""

from typing import Any

import pytest

from chain.models import ChainEvent
from loans.chain_order import order_of
from loans.debt.interest import SCALE
from loans.models import SolvencyPosition
from loans.reconciliation import records
from loans.reconciliation.loans import LoansOfPosition
from loans.reconciliation.positions import _as_of, _parts
from loans.reconciliation.records import PositionGroup
from tests.support.books_rows import BLOCK, MOMENT, BooksRows

RATE = 500
LATER = MOMENT + 1_000


@pytest.fixture
def position(world: BooksRows) -> SolvencyPosition:
    """With two loans of 1,000 at 5 %, the second drawn a thousand seconds after the first."""
    grown = 1_000 * RATE * 1_000
    position = world.position(
        ledger_order=order_of(BLOCK, 3),
        pool_principal=2_000,
        pool_rate_bps=RATE,
        pool_since=LATER,
        loans_principal=2_000,
        loans_accrued_scaled=grown + 7 * SCALE,
    )
    partner = world.partner()
    world.loan(partner, position, interest_rate_bps=RATE, interest_since=MOMENT, accrued_scaled=7 * SCALE)
    world.loan(partner, position, interest_rate_bps=RATE, interest_since=LATER)
    return position


def told(position: SolvencyPosition, *, exactly: bool = True, **wrong: Any) -> list[str]:
    SolvencyPosition.objects.filter(pk=position.pk).update(**wrong)
    group = PositionGroup(chosen=(position.position_id,))
    [row] = records.positions(group).values()
    of_position = LoansOfPosition(debt=2_000, live=records.loans(group))
    return [f"{one.what} is {one.booked}, adds up to {one.actual}" for one in _parts(row, of_position, exactly=exactly)]


def test_sums_that_are_those_of_the_loans_are_not_told_of(position: SolvencyPosition) -> None:
    assert told(position) == []


def test_interest_that_differs_by_the_least_is_told_where_the_debt_is_right(position: SolvencyPosition) -> None:
    right = 1_000 * RATE * 1_000 + 7 * SCALE
    assert told(position, loans_accrued_scaled=right + 1) == [f"loans_accrued is {right + 1}, adds up to {right}"]
    assert told(position, loans_accrued_scaled=right + 1, exactly=False) == []
    assert told(position, loans_accrued_scaled=right + 1, ledger_order=0) == []


def test_where_the_principal_differs_nothing_is_said_of_the_interest(position: SolvencyPosition) -> None:
    assert told(position, loans_principal=1_999) == ["loans_principal is 1999, adds up to 2000"]


def test_a_position_as_of_a_block_has_what_its_unapplied_events_told(position: SolvencyPosition) -> None:
    [row] = records.positions(PositionGroup(chosen=(position.position_id,))).values()

    def event(name: str, log_index: int, **args: int) -> ChainEvent:
        said = {key: str(value) for key, value in args.items()}
        return ChainEvent(name=name, block_number=BLOCK + 1, log_index=log_index, block_time=LATER, args=said)

    told_since = [
        event("SolvencyVault.PositionRevalued", 0, collateralValueUSD=77),
        event("SeniorPool.DebtUpdated", 1, principal=1_500, accrued=3, rateBps=400),
    ]
    then = _as_of(row, None, told_since, BLOCK + 1)
    assert then is not None
    assert (then.collateral_value_usd, then.pool_principal, then.pool_rate_bps) == (77, 1_500, 400)
    assert then.synced_block == BLOCK + 1
    assert (row.collateral_value_usd, row.pool_principal) == (10**10, 2_000)  # the row itself is as it was
    assert _as_of(row, None, [], BLOCK - 1) is None
