"""USDC as whole base units (6 decimals, `int`); dollars exist only in messages."""

from decimal import ROUND_HALF_UP, Decimal

from partner_platform.core.fields import MAX_BASE_UNITS

USDC_DECIMALS = 6
BASE_UNITS_PER_DOLLAR = 10**USDC_DECIMALS
BASIS_POINTS = 10_000

__all__ = [
    "BASE_UNITS_PER_DOLLAR",
    "BASIS_POINTS",
    "MAX_BASE_UNITS",
    "USDC_DECIMALS",
    "fee_on",
    "format_dollars",
    "percent",
]


def fee_on(amount: int, basis_points: int) -> int:
    """The platform's fee in base units, rounded down: `amount * bps // 10000` (plan, borrow flow, step 4)."""
    return amount * basis_points // BASIS_POINTS


def format_dollars(amount: int) -> str:
    """Base units as dollars without trailing zeros: 3000000000 is `$3000`, 500000 is `$0.5`."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    dollars, rest = divmod(amount, BASE_UNITS_PER_DOLLAR)
    cents = f".{rest:0{USDC_DECIMALS}d}".rstrip("0") if rest else ""
    return f"{sign}${dollars}{cents}"


def percent(part: int, whole: int) -> str:
    """A share in percent with one decimal: `5.0%`; `0.0%` of nothing."""
    share = Decimal(100 * part) / whole if whole else Decimal(0)
    return f"{share.quantize(Decimal('0.1'), ROUND_HALF_UP)}%"
