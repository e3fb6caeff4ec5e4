"""Accepting a borrow: every check of the plan in its order, then loan, reservations and operation at once.

A preview runs the same checks (`_decide`) and ends before anything is reserved: where it is answered, the borrow would
have been accepted at that moment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError

from chain.lending import readings
from chain.lending.readings import Backing
from loans import rules
from loans.consent import verification
from loans.models import PartnerLoan
from loans.positions import credit
from loans.positions.credit import CreditLimit
from loans.services import reservations
from loans.services.open_loan import BorrowRequest, find_position, open_loan, refuse_duplicate
from loans.stopping import screening, wallets
from partner_platform.core import clock
from partner_platform.core.money import fee_on
from partners import limits
from partners.idempotency.records import OnAccepted
from partners.models import Partner
from partners.notices.limit_marks import Remaining
from partners.rules import require_borrowing

__all__ = ["BorrowPreview", "BorrowRequest", "preview_borrow", "request_borrow"]

T = TypeVar("T")
Proof = dict[str, object] | None


@dataclass(frozen=True, kw_only=True)
class BorrowPreview:
    """What a borrow would come to, in base units; what remains is what remains after it."""

    fee: int
    net: int
    available_credit: int
    remaining_credit: int
    remaining: Remaining


def request_borrow(*, partner: Partner, request: BorrowRequest, on_accepted: OnAccepted | None = None) -> PartnerLoan:
    """Accept a borrow and return its PENDING loan; the settlement engine does the rest.

    `on_accepted` is called with the loan's key inside the transaction that makes it.
    Raises 503 while new borrows are paused, 400 below the smallest loan, 403 without the user's consent, then the
    plan's refusals in its order (1a ownership, 1b active; 403 or 503 about the wallet; 1c credit, 1d daily, 1e total,
    1f duplicate, position), `Unavailable` where the chain cannot be reached. About a wallet nothing is told to who does
    not own an OAID of it: whoever does not could try any wallet. A pause, a block or a suspension made at the same
    moment is counted again in the transaction. Whatever raises, nothing stays reserved. Source: plan, borrow flow.
    """

    def accept(proof: Proof, backing: Backing, limit: CreditLimit) -> PartnerLoan:
        day = clock.today()
        opened = partial(open_loan, partner, request, proof, backing, day, on_accepted)
        try:
            return reservations.reserve_and(
                opened,
                partner=partner,
                user_wallet=request.user_wallet,
                limit=limit,
                amount=request.borrow_amount,
                day=day,
            )
        except IntegrityError:
            refuse_duplicate(partner, request)
            raise

    return _decide(partner, request, accept)


def preview_borrow(*, partner: Partner, request: BorrowRequest) -> BorrowPreview:
    """What the borrow would come to; raises what `request_borrow` would raise now. Reserves nothing; the outcome of a
    wallet's screening is kept.
    """

    def judge(_: Proof, backing: Backing, limit: CreditLimit) -> BorrowPreview:
        amount = request.borrow_amount
        wallets.check_wallet(request.user_wallet, amount)
        left = credit.check_credit(limit, amount)
        remaining = limits.check_limits(partner_id=partner.pk, amount=amount, day=clock.today())
        find_position(partner, request, backing)
        refuse_duplicate(partner, request)
        fee = fee_on(amount, partner.platform_fee_percentage)
        return BorrowPreview(
            fee=fee, net=amount - fee, available_credit=left + amount, remaining_credit=left, remaining=remaining
        )

    return _decide(partner, request, judge)


def _decide(partner: Partner, request: BorrowRequest, then: Callable[[Proof, Backing, CreditLimit], T]) -> T:
    """The checks before anything is reserved, then what `then` returns of a reading that is new enough for it.

    `then` raises `ReadingTooOld` or `CreditContended` where the chain is to be read again, or exactly.
    """
    require_borrowing(partner)
    rules.check_minimum(request.borrow_amount, settings.MIN_BORROW)
    proof = verification.require_consent(partner, request)
    exactly = False
    for attempt in range(credit.MAX_READINGS):
        found = readings.read_backing(request.oaid_token_id)
        backing = rules.require_credit_line(found, request.oaid_token_id, request.user_wallet)
        if attempt == 0:
            screening.require_screened(request.user_wallet)
        try:
            return then(proof, backing, credit.limit_of(backing.oaid, exactly=exactly))
        except credit.ReadingTooOld:
            readings.forget_block()
        except credit.CreditContended:
            exactly = True
    raise credit.unsettled_chain()
