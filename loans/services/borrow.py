"""Accepting a borrow: every check of the plan in its order, then loan, reservations and operation at once."""

from functools import partial

from django.conf import settings
from django.db import IntegrityError

from chain.lending import readings
from loans import rules
from loans.consent import verification
from loans.models import PartnerLoan
from loans.positions import credit
from loans.services import reservations
from loans.services.open_loan import BorrowRequest, open_loan, refuse_duplicate
from partner_platform.core import clock
from partners.idempotency.records import OnAccepted
from partners.models import Partner

__all__ = ["BorrowRequest", "request_borrow"]


def request_borrow(*, partner: Partner, request: BorrowRequest, on_accepted: OnAccepted | None = None) -> PartnerLoan:
    """Accept a borrow and return its PENDING loan; the settlement engine does the rest.

    `on_accepted` is called with the loan's key inside the transaction that makes it.
    Raises 400 below the smallest loan, 403 without the user's consent, then the plan's refusals in its order (1a
    ownership, 1b active, 1c credit, 1d daily, 1e total, 1f duplicate, position), `Unavailable` where the chain cannot
    be reached. Whatever raises, nothing stays reserved. Source: plan, borrow flow.
    """
    rules.check_minimum(request.borrow_amount, settings.MIN_BORROW)
    proof = verification.require_consent(partner, request)
    exactly = False
    for _ in range(credit.MAX_READINGS):
        found = readings.read_backing(request.oaid_token_id)
        backing = rules.require_credit_line(found, request.oaid_token_id, request.user_wallet)
        limit = credit.limit_of(backing.oaid, exactly=exactly)
        day = clock.today()
        accept = partial(open_loan, partner, request, proof, backing, day, on_accepted)
        try:
            return reservations.reserve_and(accept, partner=partner, limit=limit, amount=request.borrow_amount, day=day)
        except credit.ReadingTooOld:
            readings.forget_block()
        except credit.CreditContended:
            exactly = True
        except IntegrityError:
            refuse_duplicate(partner, request)
            raise
    raise credit.unsettled_chain()
