"""What `position.health_warning` says in `data`, as the schema describes it, for one lender.

A lender sees the position and its own loans: nothing in it tells what the others lent. `debt` is the position's whole
debt at the pool, as anybody reads it on the chain.
"""

# ruff: noqa: N815 - the contract's names

from collections.abc import Sequence

from rest_framework import serializers

from loans.debt import payoffs
from loans.models import PartnerLoan, SolvencyPosition
from partner_platform.core.money import BASIS_POINTS
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, IdText


class HealthWarningObject(serializers.Serializer):
    """`position.health_warning`: a position comes near its liquidation, or is beyond it."""

    positionId = Count()
    positionIdString = IdText()
    userWallet = Address()
    healthFactor = serializers.FloatField(help_text="Collateral value over debt.")
    debt = BaseUnits(help_text="All that the position owes the pool, interest included.")
    liquidationDebt = BaseUnits(help_text="With a debt above this the position can be liquidated.")
    collateralValueUSD = BaseUnits(help_text="6 decimals, as USDC.")
    liquidatable = serializers.BooleanField()
    yourDebt = BaseUnits(help_text="What your open loans on the position owe, interest included.")
    partnerLoanIds = serializers.ListField(
        child=serializers.CharField(), help_text="Your open loans on it, in the order they were drawn."
    )


HEALTH_WARNING_EXAMPLE = {
    "positionId": 42,
    "positionIdString": "42",
    "userWallet": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "healthFactor": 1.282,
    "debt": "780000000",
    "liquidationDebt": "800000000",
    "collateralValueUSD": "1000000000",
    "liquidatable": False,
    "yourDebt": "500000000",
    "partnerLoanIds": ["xyz_loan_12345"],
}


def present_health_warning(
    position: SolvencyPosition,
    loans: Sequence[PartnerLoan],
    moment: int,
    *,
    debt: int,
    liquidation_debt: int,
    factor_bps: int,
) -> dict[str, object]:
    """The fields of `HealthWarningObject` for the lender of `loans`, the debts as of `moment`, seconds since the epoch.

    `debt` and `liquidation_debt` are the position's, in base units; `factor_bps` its value over its debt.
    """
    return {
        "positionId": position.position_id,
        "positionIdString": str(position.position_id),
        "userWallet": position.user_wallet,
        "healthFactor": factor_bps / BASIS_POINTS,
        "debt": str(debt),
        "liquidationDebt": str(liquidation_debt),
        "collateralValueUSD": str(position.collateral_value_usd),
        "liquidatable": debt > liquidation_debt,
        "yourDebt": str(sum(payoffs.debt_at(loan, moment) for loan in loans)),
        "partnerLoanIds": [loan.partner_loan_id for loan in loans],
    }
