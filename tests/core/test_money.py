"""Dollars exist only in messages; everything else is whole base units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_platform.core.money import BASIS_POINTS, MAX_BASE_UNITS, fee_on, format_dollars


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"),
        (1, "$0.000001"),
        (500_000, "$0.5"),
        (1_000_000, "$1"),
        (1_230_000, "$1.23"),
        (3_000_000_000, "$3000"),
        (100_000_000_000, "$100000"),
        (-2_500_000, "-$2.5"),
        (MAX_BASE_UNITS, "$9223372036854.775807"),
    ],
)
def test_dollars_drop_trailing_zeros_and_no_others(amount: int, text: str) -> None:
    assert format_dollars(amount) == text


def test_the_plans_fee_of_half_a_percent_on_5000_dollars_is_25_dollars() -> None:
    assert fee_on(5_000_000_000, 50) == 25_000_000


def test_a_fee_below_one_base_unit_is_nothing() -> None:
    assert fee_on(199, 50) == 0
    assert fee_on(200, 50) == 1


@given(amount=st.integers(1, MAX_BASE_UNITS), basis_points=st.integers(0, BASIS_POINTS - 1))
def test_fee_and_net_add_up_and_the_fee_is_rounded_down(amount: int, basis_points: int) -> None:
    fee = fee_on(amount, basis_points)
    assert 0 <= fee < amount
    assert fee * BASIS_POINTS <= amount * basis_points < (fee + 1) * BASIS_POINTS


@given(amount=st.integers(0, MAX_BASE_UNITS))
def test_a_dollar_text_reads_back_as_the_amount(amount: int) -> None:
    dollars, _, rest = format_dollars(amount).removeprefix("$").partition(".")
    assert int(dollars) * 10**6 + int(rest.ljust(6, "0") or 0) == amount
