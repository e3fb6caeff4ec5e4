"""What a borrow reserves, in one step: the OAID's credit, then the partner's daily and total limit (M1, M2). Before
that, whether the platform lends to the wallet (`loans.stopping.wallets`).

All of it is taken in the transaction that accepts the loan, and given back in the one that fails it.
"""

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

from loans.models import OaidCredit, PartnerLoan, UserWallet
from loans.positions import credit
from loans.positions.credit import CreditLimit
from loans.stopping import wallets
from partner_platform.core.database.transactions import run_in_transaction
from partners import limits
from partners.models import Partner

T = TypeVar("T")


def reserve_and(
    open_loan: Callable[[int], T], *, partner: Partner, user_wallet: str, limit: CreditLimit, amount: int, day: dt.date
) -> T:
    """Reserve `amount` (base units) and open the loan in one transaction; `open_loan` gets the credit that remains.

    Raises what `lend_to_wallet`, then `reserve_credit`, then `limits.reserve_limits`, then `open_loan` raises; nothing
    stays reserved. The rows to reserve on are created outside the transaction. The partner's row of a UTC day is
    missing once a day. A wallet's and an OAID's row are missing once: to look for them would cost every borrow a query,
    so the transaction runs again where a row was not found.
    """

    def reserve() -> T:
        wallets.lend_to_wallet(user_wallet, amount)
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
    except (UserWallet.DoesNotExist, OaidCredit.DoesNotExist):
        wallets.ensure_wallet(user_wallet)
        credit.ensure_row(limit.oaid_token_id)
    return run_in_transaction(reserve)


def release_loan(loan: PartnerLoan) -> None:
    """Give back all that a loan reserved that will never be drawn, inside the caller's transaction."""
    credit.release_reservation(loan.oaid_token_id, loan.principal_amount)
    limits.release_limits(partner_id=loan.partner_id, amount=loan.principal_amount, day=loan.daily_usage_day)
