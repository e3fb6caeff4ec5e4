"""The loans' shares of their position's debt (M5): from the books' rows to `debt.interest`, and back.

Nothing here writes. A row carries the position's figures as of the last movement; shares are of a later second, with
the interest until then. What a movement does to the shares is worked out in memory (`loans.debt.interest`) and handed
to `ledger.apply`, which writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loans.debt import interest
from loans.debt.interest import OWN, Part, PositionDebt, PositionSums
from loans.models import PartnerLoan, SolvencyPosition
from loans.states import REPAYABLE
from partner_platform.core.invariants import InvariantViolation


@dataclass(frozen=True)
class AppliedPayment:
    """What a payment did to one loan, in base units; `changes` are the loan's new figures at the pool."""

    loan: PartnerLoan
    paid: int
    owed_before: int
    changes: dict[str, Any] = field(default_factory=dict)
    lost: int = 0  # in a liquidation
    is_target: bool = False  # the loan that a repayment was made for, even where that owed nothing any more

    @property
    def interest(self) -> int:
        """The part of the payment that was interest: interest first, then principal."""
        return min(self.paid, self.owed_before - self.loan.outstanding_principal)

    @property
    def principal(self) -> int:
        return self.paid - self.interest

    @property
    def closes(self) -> bool:
        """True where the loan owes nothing any more."""
        return self.paid > 0 and not self.changes["bearing_principal"] and not self.changes["accrued_scaled"]


def live_loans(position_id: int) -> list[PartnerLoan]:
    """The position's loans that owe something, in the order they were drawn."""
    return sorted(live_loans_query(position_id), key=lambda loan: loan.draw_order)


def live_loans_query(position_id: int) -> Any:
    """The query of `live_loans`, for the index tests too."""
    return PartnerLoan.objects.filter(solvency_position_id=position_id, status__in=sorted(REPAYABLE))


def pool_debt_at(row: SolvencyPosition, timestamp: int) -> int:
    """What the position owes the pool at `timestamp`, interest included, in base units."""
    return sums_of(row).at(timestamp).pool_debt


def sums_of(row: SolvencyPosition) -> PositionSums:
    """The position's figures as of its last movement."""
    return PositionSums(
        pool=Part(row.pool_principal, row.pool_accrued_scaled),
        loans=Part(row.loans_principal, row.loans_accrued_scaled),
        rate_bps=row.pool_rate_bps,
        since=row.pool_since,
    )


def divided(sums: PositionSums, loans: Sequence[PartnerLoan]) -> PositionDebt:
    """The debt by loan, in the order of the draws; what no loan owes is the user's own, the last part."""
    parts = {str(loan.pk): part_of(loan, sums.since) for loan in loans}
    own = Part(
        sums.pool.principal - sum(part.principal for part in parts.values()),
        sums.pool.accrued_scaled - sum(part.accrued_scaled for part in parts.values()),
    )
    if own.principal < 0 or own.accrued_scaled < 0:
        raise InvariantViolation(f"M5: the loans of a position owe more than it does: {own}")
    if own != interest.NOTHING:
        parts[OWN] = own
    return PositionDebt(parts, sums.rate_bps, sums.since)


def part_of(loan: PartnerLoan, timestamp: int) -> Part:
    """The loan's share of its position's debt, grown until `timestamp`."""
    seconds = timestamp - loan.interest_since
    return Part(loan.bearing_principal, loan.accrued_scaled).grown(loan.interest_rate_bps, seconds)


def drawn_figures(before: PositionSums, after: PositionSums, amount: int, *, draw_order: int) -> dict[str, object]:
    """The pool's figures of a loan that just drew `amount`: its share, and the sums of the loans drawn before it."""
    return {
        "interest_rate_bps": after.rate_bps,
        "bearing_principal": amount,
        "accrued_scaled": 0,
        "prior_principal": before.loans.principal,
        "prior_accrued_scaled": before.loans.accrued_scaled,
        "interest_since": after.since,
        "draw_order": draw_order,
    }


def applied_payments(
    loans: Sequence[PartnerLoan],
    before: PositionDebt,
    after: PositionDebt,
    paid: Mapping[str, int],
    target: PartnerLoan | None = None,
) -> list[AppliedPayment]:
    """What a payment did to each loan that paid, to the `target`, and to those whose figures it changed.

    `before` and `after` are the position's debt around it, `paid` who was credited with how much of it.
    """
    owed, found, prior = before.owed(), [], interest.NOTHING
    for loan in loans:
        key = str(loan.pk)
        part = after.parts.get(key, interest.NOTHING)
        changes = {
            "bearing_principal": part.principal,
            "accrued_scaled": part.accrued_scaled,
            "prior_principal": prior.principal if after.rate_bps else loan.prior_principal,
            "prior_accrued_scaled": prior.accrued_scaled,
            "interest_since": after.since,
        }
        prior = Part(prior.principal + part.principal, prior.accrued_scaled + part.accrued_scaled)
        is_closed = bool(paid.get(key)) and part == interest.NOTHING
        is_target = target is not None and loan.pk == target.pk
        if paid.get(key) or after.rate_bps or is_target:
            # A payoff computed before others paid may be base units off: what it paid is what was owed.
            owed_before = paid[key] if is_closed else owed.get(key, 0)
            found.append(AppliedPayment(loan, paid.get(key, 0), owed_before, changes, is_target=is_target))
    return found


def liquidated_shares(loans: Sequence[PartnerLoan], debt: PositionDebt, recovered: int) -> list[AppliedPayment]:
    """Each loan's share of what a liquidation recovered, pro rata of what it owed, and what of it is lost."""
    shares = interest.divide_recovered(debt, recovered)
    nothing_owed = {
        "bearing_principal": 0,
        "accrued_scaled": 0,
        "prior_principal": 0,
        "prior_accrued_scaled": 0,
        "interest_since": debt.since,
    }
    return [
        AppliedPayment(loan, paid, paid + lost, nothing_owed, lost=lost)
        for loan in loans
        for paid, lost in [shares.get(str(loan.pk), (0, 0))]
    ]
