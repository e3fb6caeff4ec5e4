"""A new repayment: it holds its loan, claims its funds and enqueues its operation, all in the caller's transaction."""

import uuid

from audit.services import record_change
from chain import services as chain_services
from chain.lending import operations
from loans import rules
from loans.debt import payoffs
from loans.debt.payoffs import Quote
from loans.funding.sources import Funds
from loans.models import FundingSource, PartnerLoan, Repayment
from loans.states import REPAYABLE
from partners.idempotency.records import OnAccepted
from partners.models import Partner

REPAY_KIND = "repay"


def operation_key(repayment_id: uuid.UUID) -> str:
    """The idempotency key of the repayment's chain operation, and the name of the wake-up that its settlement sends."""
    return f"{REPAY_KIND}:{repayment_id}"


def open_repayment(
    partner: Partner,
    loan: PartnerLoan,
    requested: int,
    quote: Quote,
    funds: Funds,
    moment: int,
    on_accepted: OnAccepted | None,
) -> Repayment:
    """Make the PENDING repayment of `requested` base units of the loan, paid by `funds`.

    Where `requested` covers the debt as of `moment`, by `quote`, it is a payoff: it pays to the base unit what is owed
    in its own block. Raises 409, or what `rules.check_repayment` raises, where the loan changed since it was read; 400
    where the funds are no longer there; `JudgementOutdated` where the platform account is to be judged again.
    """
    hold_loan(loan, requested, moment)
    repayment = _create(partner, loan, requested, quote, funds)
    record_change(
        actor=f"partner:{partner.partner_id}",
        action="loan.repayment_requested",
        target=f"loan:{loan.internal_loan_id}",
        after={"repaymentId": str(repayment.pk), "amount": str(repayment.amount), "funding": str(funds.source)},
    )
    if on_accepted is not None:
        on_accepted(repayment.pk)
    funds.spend(partner)
    return repayment


def hold_loan(loan: PartnerLoan, amount: int, moment: int) -> None:
    """Take the loan for a repayment, where it is still as it was read; else raise why it cannot be taken."""
    held = PartnerLoan.objects.filter(
        pk=loan.pk,
        status__in=sorted(REPAYABLE),
        repayment_in_flight=False,
        outstanding_principal=loan.outstanding_principal,
        bearing_principal=loan.bearing_principal,  # a payoff's terms are the ones that were read
        interest_since=loan.interest_since,
    ).update(repayment_in_flight=True)
    if held != 1:
        rules.check_repayment(PartnerLoan.objects.get(pk=loan.pk), amount, moment)
        raise rules.repayment_in_progress()  # it changed since it was read and changed back: the caller may try again


def _create(partner: Partner, loan: PartnerLoan, requested: int, quote: Quote, funds: Funds) -> Repayment:
    closes_loan = requested >= quote.debt
    most = funds.limit(max(quote.amount, requested))  # what a payoff pays at most
    amount = funds.claim(requested, most if closes_loan else requested)
    repayment_id = uuid.uuid4()
    pull_from = partner.settlement_address if funds.source == FundingSource.PULLED else None
    payoff_terms = None
    if closes_loan:
        terms = payoffs.terms_of(loan)
        payoff_terms = payoffs.to_json(terms, most=most)
        calls, effect = operations.payoff_operation(loan.solvency_position_id, terms, most, pull_from)
    else:
        calls, effect = operations.repay_operation(loan.solvency_position_id, amount, False, pull_from)
    return Repayment.objects.create(
        id=repayment_id,
        loan=loan,
        partner=partner,
        amount=amount,
        closes_loan=closes_loan,
        funding=funds.source,
        funding_transfer=funds.transfer,
        payoff_terms=payoff_terms,
        operation=chain_services.enqueue(
            key=operation_key(repayment_id), kind=REPAY_KIND, calls=[*funds.guards(), *calls], effect=effect
        ),
    )
