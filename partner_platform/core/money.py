"""USDC as whole base units (6 decimals, `int`); dollars exist only in messages."""

from partner_platform.core.fields import MAX_BASE_UNITS

USDC_DECIMALS = 6
BASE_UNITS_PER_DOLLAR = 10**USDC_DECIMALS
BASIS_POINTS = 10_000

__all__ = ["BASE_UNITS_PER_DOLLAR", "BASIS_POINTS", "MAX_BASE_UNITS", "USDC_DECIMALS", "fee_on", "format_dollars"]


def fee_on(amount: int, basis_points: int) -> int:
    """The platform's fee in base units, rounded down: `amount * bps // 10000` (plan, borrow flow, step 4)."""
    return amount * basis_points // BASIS_POINTS


def format_dollars(amount: int) -> str:
    """Base units as dollars without trailing zeros: 3000000000 is `$3000`, 500000 is `$0.5`."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    dollars, rest = divmod(amount, BASE_UNITS_PER_DOLLAR)
    cents = f".{rest:0{USDC_DECIMALS}d}".rstrip("0") if rest else ""
    return f"{sign}${dollars}{cents}"
