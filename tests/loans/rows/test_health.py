"""Health and its warning: which positions, at which debt, once."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from events.models import Event
from loans.models import SolvencyPosition
from loans.objects.health import HEALTH_WARNING_EXAMPLE, HealthWarningObject
from loans.positions import health
from loans.positions.health import check_positions, health_of, warning_factor_bps
from loans.positions.mirror import health_factor_bps
from tests.loans.rows.conftest import NOW
from tests.support.books_rows import MOMENT, TIME, BooksRows, changed_by, everything, told
from tests.support.events import bodies, data_of

VALUE = 1_000_000


@pytest.fixture(autouse=True)
def _only_ours(world: BooksRows, settings: Settings) -> None:
    """The bystanders are far from any danger; the margin is five per cent."""
    settings.HEALTH_WARNING_MARGIN_BPS = 500
    SolvencyPosition.objects.update(collateral_value_usd=10**15, health_factor_bps=health_factor_bps(10**15, 1_000))


def position(world: BooksRows, debt: int, **fields: Any) -> SolvencyPosition:
    """Collateral of a dollar, of which partners lent all that is owed."""
    values = {"collateral_value_usd": VALUE, "pool_principal": debt, "total_partner_debt": debt, "pool_since": MOMENT}
    return world.position(**{**values, **fields})


@pytest.mark.parametrize(
    ("kind", "debt", "at_risk", "liquidatable"),
    [
        ("RWA", 761_904, False, False),  # 800,000 / 1.05
        ("RWA", 761_905, True, False),
        ("RWA", 800_000, True, False),
        ("RWA", 800_001, True, True),
        ("PRIVATE_ASSET", 666_666, False, False),  # 700,000 / 1.05
        ("PRIVATE_ASSET", 666_667, True, False),
        ("PRIVATE_ASSET", 700_000, True, False),
        ("PRIVATE_ASSET", 700_001, True, True),
    ],
)
def test_a_position_is_at_risk_within_the_margin_and_liquidated_beyond_its_share(
    world: BooksRows, kind: str, debt: int, at_risk: bool, liquidatable: bool
) -> None:
    row = position(world, debt, token_type=kind)
    found = health_of(row, MOMENT)
    assert (found.is_at_risk, found.is_liquidatable) == (at_risk, liquidatable)
    assert (found.debt, found.liquidation_debt) == (debt, 800_000 if kind == "RWA" else 700_000)
    assert found.factor_bps == VALUE * 10_000 // debt


def test_interest_counts_until_the_moment_that_is_asked_for(world: BooksRows) -> None:
    row = position(world, 761_904, pool_rate_bps=1_000)
    assert not health_of(row, MOMENT).is_at_risk
    found = health_of(row, MOMENT + 3_600)
    assert found.is_at_risk
    assert found.debt == 761_904 + -(-761_904 * 1_000 * 3_600 // (10_000 * 365 * 86_400))
    assert found.position.pk == row.pk


@pytest.mark.parametrize(("partner_debt", "listed"), [(0, False), (1, True)])
def test_only_what_partners_lent_against_is_looked_at(world: BooksRows, partner_debt: int, listed: bool) -> None:
    row = position(world, 900_000, total_partner_debt=partner_debt)
    assert check_positions(moment=MOMENT) == int(listed)
    assert (SolvencyPosition.objects.get(pk=row.pk).health_warned_at is not None) == listed


@pytest.mark.parametrize(("kind", "factor"), [("RWA", 13_125), ("PRIVATE_ASSET", 15_000)])
def test_the_factor_below_which_a_kind_is_warned_about(kind: str, factor: int) -> None:
    assert warning_factor_bps(kind) == factor


def test_a_warning_is_written_with_all_that_it_says(world: BooksRows) -> None:
    row = position(world, 780_000, total_partner_debt=500_000)

    changes, made = changed_by(lambda: check_positions(moment=MOMENT))

    assert changes == {row.pk: {"health_factor_bps": 12_820, "health_warned_at": NOW, "updated_at": NOW}}
    assert made == []
    assert told() == [
        (
            "position.health_warning",
            f"position:{row.position_id}",
            None,
            {
                "healthFactor": 1.282,
                "debt": "780000",
                "liquidationDebt": "800000",
                "collateralValueUSD": "1000000",
                "totalPartnerDebt": "500000",
                "liquidatable": False,
            },
        )
    ]


@pytest.mark.parametrize(
    ("debt", "warned", "expected", "warnings"),
    [
        (780_000, TIME, TIME, 0),  # it was told already
        (780_000, None, NOW, 1),
        (100_000, TIME, None, 0),  # it has recovered: the next time is told again
        (100_000, None, None, 0),
    ],
)
def test_a_position_is_warned_about_once_until_it_recovers(
    world: BooksRows, debt: int, warned: Any, expected: Any, warnings: int
) -> None:
    row = position(world, debt, health_warned_at=warned)
    assert check_positions(moment=MOMENT) == warnings
    written = SolvencyPosition.objects.get(pk=row.pk)
    assert (written.health_warned_at, written.health_factor_bps) == (expected, VALUE * 10_000 // debt)
    assert len(told()) == warnings


def test_each_lender_is_told_of_the_position_and_of_its_own_loans_alone(world: BooksRows) -> None:
    row = position(world, 780_000, pool_rate_bps=1_000)
    first, second, none = world.partner(), world.partner(), world.partner()
    loans = [
        world.loan(first, row, 300_000, interest_rate_bps=1_000),
        world.loan(second, row, 200_000, "DEFAULTED"),
        world.loan(first, row, 100_000),
    ]
    for status in ("PENDING", "REPAID", "LIQUIDATED", "FAILED"):
        world.loan(none, row, 1_000, status)
    world.loan(none, position(world, 100), 100)

    assert check_positions(moment=MOMENT + 3_600) == 1
    (body,) = bodies(first)
    assert (body["type"], body["partnerLoanId"], body["sequence"]) == ("position.health_warning", None, None)
    debt = 780_000 + -(-780_000 * 1_000 * 3_600 // (10_000 * 365 * 86_400))
    figures = {
        "positionId": row.position_id,
        "positionIdString": str(row.position_id),
        "userWallet": row.user_wallet,
        "healthFactor": (VALUE * 10_000 // debt) / 10_000,
        "debt": str(debt),
        "liquidationDebt": "800000",
        "collateralValueUSD": "1000000",
        "liquidatable": False,
    }
    interest = -(-300_000 * 1_000 * 3_600 // (10_000 * 365 * 86_400))
    assert body["data"] == {
        **figures,
        "yourDebt": str(400_000 + interest),
        "partnerLoanIds": [loans[0].partner_loan_id, loans[2].partner_loan_id],
    }
    assert data_of(second, "position.health_warning") == [
        {**figures, "yourDebt": "200000", "partnerLoanIds": [loans[1].partner_loan_id]}
    ]
    assert Event.objects.count() == 2
    assert interest > 0
    for shown in (body["data"], HEALTH_WARNING_EXAMPLE):
        assert list(HealthWarningObject().fields) == list(shown)


def test_lenders_are_told_once_until_the_position_recovers(world: BooksRows) -> None:
    row, lender = position(world, 780_000), world.partner()
    world.loan(lender, row, 780_000)
    assert [check_positions(moment=MOMENT) for _ in range(2)] == [1, 0]
    SolvencyPosition.objects.filter(pk=row.pk).update(collateral_value_usd=2 * VALUE)
    assert check_positions(moment=MOMENT) == 0
    assert len(bodies(lender)) == 1
    SolvencyPosition.objects.filter(pk=row.pk).update(collateral_value_usd=VALUE)
    assert check_positions(moment=MOMENT) == 1
    assert [one["liquidatable"] for one in data_of(lender, "position.health_warning")] == [False, False]


def test_nothing_is_written_where_nothing_changed(world: BooksRows) -> None:
    position(world, 780_000)
    assert check_positions(moment=MOMENT) == 1
    before = everything()
    assert check_positions(moment=MOMENT) == 0
    assert everything() == before
    assert len(told()) == 1


@pytest.mark.parametrize("changed", [{"ledger_order": 7}, {"health_warned_at": TIME}])
def test_a_position_that_moved_since_it_was_read_is_left_to_the_next_look(
    world: BooksRows, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = position(world, 780_000)
    read = health.health_of

    def overtaken(seen: SolvencyPosition, moment: int) -> Any:
        found = read(seen, moment)
        if seen.pk == row.pk:
            SolvencyPosition.objects.filter(pk=row.pk).update(**changed)
        return found

    monkeypatch.setattr(health, "health_of", overtaken)
    world.loan(world.partner(), row, 780_000)
    assert check_positions(moment=MOMENT) == 0
    assert Event.objects.count() == 0
    assert SolvencyPosition.objects.get(pk=row.pk).health_factor_bps is None
    assert told() == []


@pytest.mark.parametrize(("value", "debt", "factor"), [(7, 0, None), (7, 2, 35_000), (2**200, 1, 2**62), (0, 5, 0)])
def test_the_factor_is_value_over_debt_in_basis_points_and_fits_the_database(
    value: int, debt: int, factor: int | None
) -> None:
    assert health_factor_bps(value, debt) == factor
