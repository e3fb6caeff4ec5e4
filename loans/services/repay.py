"""Accepting a repayment: its loan, its funds, then repayment, claim and operation in one transaction."""

from dataclasses import dataclass
from functools import partial

from loans import rules, selectors
from loans.debt.interest_clock import interest_moment
from loans.funding import sources
from loans.funding.trusted import JudgementOutdated
from loans.models import Repayment
from loans.services.open_repayment import open_repayment
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unavailable
from partners.idempotency.records import OnAccepted
from partners.models import Partner

MAX_JUDGEMENTS = 25


@dataclass(frozen=True, kw_only=True)
class RepayRequest:
    """What a partner reports; `repayment_amount` in base units."""

    partner_loan_id: str
    repayment_amount: int
    repayment_tx_hash: str | None = None


def request_repay(*, partner: Partner, request: RepayRequest, on_accepted: OnAccepted | None = None) -> Repayment:
    """Accept a repayment and return it PENDING, holding its loan and its funding until it is settled.

    `on_accepted` is called with the repayment's key inside the transaction that makes it.
    Raises 404 for an unknown loan, 400 for a loan that cannot be repaid, an amount above the debt or missing funds,
    409 where another repayment of the loan is in flight. Source: plan, repay flow; docs/loans.md.
    """
    loan = selectors.get_loan(partner=partner, partner_loan_id=request.partner_loan_id)
    moment = interest_moment([loan])
    quote = rules.check_repayment(loan, request.repayment_amount, moment)
    for _ in range(MAX_JUDGEMENTS):
        funds = sources.find_funds(partner, request.repayment_amount, request.repayment_tx_hash)
        accept = partial(open_repayment, partner, loan, request.repayment_amount, quote, funds, moment, on_accepted)
        try:
            return run_in_transaction(accept)
        except JudgementOutdated:
            continue
    raise Unavailable(ErrorCode.DATABASE_UNAVAILABLE, "The platform account is changing; this request was not accepted")
