"""What a borrow reserves, in one step: the OAID's credit, then the partner's daily and total limit (M1, M2).

All of it is taken in the transaction that accepts the loan, and given back in the one that fails it.
"""

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

from loans.models import OaidCredit, PartnerLoan
from loans.positions import credit
from loans.positions.credit import CreditLimit
from partner_platform.core.database.transactions import run_in_transaction
from partners import limits
from partners.models import Partner

T = TypeVar("T")


def reserve_and(open_loan: Callable[[int], T], *, partner: Partner, limit: CreditLimit, amount: int, day: dt.date) -> T:
    """Reserve `amount` (base units) and open the loan in one transaction; `open_loan` gets the credit that remains.

    Raises what `reserve_credit`, then `limits.reserve_limits`, then `open_loan` raises; nothing stays reserved.
    The rows to reserve on are created outside the transaction. The partner's row of a UTC day is missing once a day. An
    OAID's row is missing once: to look for it would cost every borrow a query, so the transaction runs again where the
    row was not found.
    """

    def reserve() -> T:
        remaining_credit = credit.reserve_credit(limit, amount)
        limits.reserve_limits(
            partner_id=partner.pk,
            amount=amount,
            day=day,
            daily_limit=partner.daily_borrow_limit,
            total=limits.total_of(partner),
        )
        return open_loan(remaining_credit)

    limits.ensure_day(partner_id=partner.pk, day=day)
    try:
        return run_in_transaction(reserve)
    except OaidCredit.DoesNotExist:
        credit.ensure_row(limit.oaid_token_id)
    return run_in_transaction(reserve)


def release_loan(loan: PartnerLoan) -> None:
    """Give back all that a loan reserved that will never be drawn, inside the caller's transaction."""
    credit.release_reservation(loan.oaid_token_id, loan.principal_amount)
    limits.release_limits(partner_id=loan.partner_id, amount=loan.principal_amount, day=loan.daily_usage_day)
