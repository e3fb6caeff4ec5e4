"""Health of the positions partners lent against, and a warning before liquidation.

The vault liquidates where the debt passes a share of the collateral's value (80 % of real-world assets, 70 % of private
ones). A position is warned about once when its debt comes within `HEALTH_WARNING_MARGIN_BPS` of that, and again only
after it had recovered. The warning is the audit entry `position.health_warning`, with an event of that name to each
partner that has an open loan on the position, written in the transaction that notes it on the position.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.conf import settings

from audit.services import record_change
from events.kinds import EventType
from events.services import NewEvent, record_events
from loans.ledger.shares import live_loans, pool_debt_at
from loans.models import PartnerLoan, SolvencyPosition
from loans.objects.health import present_health_warning
from loans.positions.mirror import health_factor_bps
from partner_platform.core import clock
from partner_platform.core.collateral import LIQUIDATION_BPS
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.money import BASIS_POINTS


@dataclass(frozen=True)
class PositionHealth:
    """A position at a moment; `factor_bps` is value over debt; above `liquidation_debt` it is liquidated."""

    position: SolvencyPosition
    debt: int
    factor_bps: int | None
    liquidation_debt: int

    @property
    def is_at_risk(self) -> bool:
        """True within the margin of liquidation, or beyond it."""
        margin = settings.HEALTH_WARNING_MARGIN_BPS
        return self.debt * (BASIS_POINTS + margin) > self.liquidation_debt * BASIS_POINTS

    @property
    def is_liquidatable(self) -> bool:
        return self.debt > self.liquidation_debt


def warning_factor_bps(token_type: str) -> int:
    """Below this health factor (basis points) a position of that kind is warned about."""
    margin = BASIS_POINTS + settings.HEALTH_WARNING_MARGIN_BPS
    return margin * BASIS_POINTS // LIQUIDATION_BPS[token_type]


def health_of(row: SolvencyPosition, moment: int) -> PositionHealth:
    """The position's health at `moment`, seconds since the epoch, interest until then included."""
    debt = pool_debt_at(row, moment)
    limit = row.collateral_value_usd * LIQUIDATION_BPS[row.token_type] // BASIS_POINTS
    return PositionHealth(row, debt, health_factor_bps(row.collateral_value_usd, debt), limit)


def check_positions(*, moment: int) -> int:
    """Refresh the health of every position partners lent against, and warn; returns how many were warned about."""
    lent_against = SolvencyPosition.objects.filter(total_partner_debt__gt=0)
    return sum(alone(partial(_check, row, moment), f"checking position {row.position_id}") for row in lent_against)


def _check(row: SolvencyPosition, moment: int) -> bool:
    health = health_of(row, moment)
    warns = health.is_at_risk and row.health_warned_at is None
    warned_at = (clock.now() if warns else row.health_warned_at) if health.is_at_risk else None
    if health.factor_bps == row.health_factor_bps and warned_at == row.health_warned_at:
        return False

    def write() -> bool:
        as_read = SolvencyPosition.objects.as_read(row, "ledger_order", "health_warned_at")
        changes = {"health_factor_bps": health.factor_bps, "health_warned_at": warned_at}
        if as_read.update(**changes, updated_at=clock.now()) != 1:
            return False
        if warns:
            _record(health)
            _tell_lenders(health, moment)
        return warns

    return run_in_transaction(write)


def _record(health: PositionHealth) -> None:
    row = health.position
    record_change(
        actor="system",
        action="position.health_warning",
        target=f"position:{row.position_id}",
        after={
            "healthFactor": (health.factor_bps or 0) / BASIS_POINTS,
            "debt": str(health.debt),
            "liquidationDebt": str(health.liquidation_debt),
            "collateralValueUSD": str(row.collateral_value_usd),
            "totalPartnerDebt": str(row.total_partner_debt),
            "liquidatable": health.is_liquidatable,
        },
    )


def _tell_lenders(health: PositionHealth, moment: int) -> None:
    """An event for each partner with an open loan on the position, which names its own loans only."""
    row = health.position
    by_lender: dict[UUID, list[PartnerLoan]] = defaultdict(list)
    for loan in live_loans(row.position_id):
        by_lender[loan.partner_id].append(loan)
    figures = {"debt": health.debt, "liquidation_debt": health.liquidation_debt, "factor_bps": health.factor_bps or 0}
    record_events(
        [
            NewEvent(
                EventType.POSITION_HEALTH_WARNING,
                partner_key,
                present_health_warning(row, loans, moment, **figures),
            )
            for partner_key, loans in sorted(by_lender.items())
        ]
    )
