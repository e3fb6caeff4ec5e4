"""What closes a loan: its debt at a moment, and the terms the executor reckons it from in its own block. Pure."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from chain.lending.operations import PayoffTerms
from loans.debt.interest import Part, loan_debt
from loans.models import LoanStatus, PartnerLoan

QUOTE_SECONDS = 900  # how long a quote holds, and how far from acceptance a payoff may land


@dataclass(frozen=True)
class Quote:
    """`amount` base units close the loan until `valid_until`; `debt` is what it owes now."""

    amount: int
    debt: int
    valid_until: dt.datetime


def debt_at(loan: PartnerLoan, moment: int) -> int:
    """What the loan owes at `moment` (seconds since the epoch), interest included, in base units."""
    if loan.status in (LoanStatus.REPAID, LoanStatus.LIQUIDATED, LoanStatus.FAILED):
        return 0
    if loan.status == LoanStatus.PENDING:
        return loan.principal_amount
    return _debt(terms_of(loan), moment)


def accrued_interest(loan: PartnerLoan, moment: int) -> int:
    """The interest in `debt_at`."""
    debt = debt_at(loan, moment)
    return max(debt - loan.outstanding_principal, 0)


def payoff_quote(loan: PartnerLoan, moment: int) -> Quote:
    """What closes the loan from `moment` until `QUOTE_SECONDS` later. The executor takes no more than is owed then."""
    until = moment + QUOTE_SECONDS
    # A base unit more: other payments on the position may shift the rounding between its loans.
    spare = 1 if loan.interest_rate_bps else 0
    return Quote(debt_at(loan, until) + spare, debt_at(loan, moment), dt.datetime.fromtimestamp(until, dt.UTC))


def terms_of(loan: PartnerLoan) -> PayoffTerms:
    """The loan's figures as the executor takes them."""
    return PayoffTerms(
        principal=loan.bearing_principal,
        accrued=loan.accrued_scaled,
        prior_principal=loan.prior_principal,
        prior_accrued=loan.prior_accrued_scaled,
        rate_bps=loan.interest_rate_bps,
        since=loan.interest_since,
    )


def to_json(terms: PayoffTerms, *, most: int) -> dict[str, str]:
    """The form that is stored with a repayment: whole numbers as strings, for they may be large.

    `most` is the base units that the executor pays at most.
    """
    return {**{name: str(value) for name, value in asdict(terms).items()}, "most": str(most)}


def most_of(stored: dict[str, Any] | None) -> int:
    """What the executor pays at most by the stored terms; 0 where there are none, or none with that figure."""
    return int((stored or {}).get("most", 0))


def due_by(stored: dict[str, Any], moment: int) -> int:
    """What the executor reckoned at `moment` from the stored terms."""
    terms = {name: int(value) for name, value in stored.items() if name != "most"}
    return _debt(PayoffTerms(**terms), moment)


def _debt(terms: PayoffTerms, moment: int) -> int:
    part, prior = Part(terms.principal, terms.accrued), Part(terms.prior_principal, terms.prior_accrued)
    return loan_debt(part, prior, terms.rate_bps, moment - terms.since)
