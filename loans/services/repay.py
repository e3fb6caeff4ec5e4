"""Accepting a repayment: funds first, then repayment, claim and operation in one transaction."""

import uuid
from dataclasses import dataclass

from django.conf import settings

from audit.services import record_change
from chain import services as chain_services
from chain.lending import funding, operations, readings
from chain.lending.encoding import Call
from chain.models import FundingTransfer
from loans import rules, selectors
from loans.debt import payoffs
from loans.debt.interest_clock import interest_moment
from loans.debt.payoffs import Quote
from loans.funding import early_deposits
from loans.funding import trusted as account
from loans.funding.trusted import JudgedAnew, Judgement
from loans.models import FundingSource, PartnerLoan, Repayment
from loans.states import REPAYABLE
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, Unavailable
from partner_platform.core.money import format_dollars
from partners import settlement_addresses
from partners.idempotency.records import OnAccepted
from partners.models import Partner, RepaymentFunding

OPERATION_KIND = "repay"
MAX_JUDGEMENTS = 25


@dataclass(frozen=True, kw_only=True)
class RepayRequest:
    """What a partner reports; `repayment_amount` in base units."""

    partner_loan_id: str
    repayment_amount: int
    repayment_tx_hash: str | None = None


@dataclass(frozen=True)
class _Funds:
    source: FundingSource
    transfer: FundingTransfer | None = None
    judgement: Judgement | None = None  # where the platform account pays, perhaps without a transfer of the partner's

    def guards(self) -> list[Call]:
        """The call that binds the operation to the block which its funds were found by, on every chain."""
        blocks = [(found.block_number, found.block_hash) for found in (self.transfer, self.judgement) if found]
        return [funding.guard(*max(blocks))] if blocks else []


def request_repay(*, partner: Partner, request: RepayRequest, on_accepted: OnAccepted | None = None) -> Repayment:
    """Accept a repayment and return it PENDING, holding its loan and its funding until it is settled.

    `on_accepted` is called with the repayment's key inside the transaction that makes it.
    Raises 404 for an unknown loan, 400 for a loan that cannot be repaid, an amount above the debt or missing funds,
    409 where another repayment of the loan is in flight. Source: plan, repay flow; DESIGN, Repay.
    """
    loan = selectors.get_loan(partner=partner, partner_loan_id=request.partner_loan_id)
    moment = interest_moment([loan])
    _check(loan, request.repayment_amount, moment)
    for _ in range(MAX_JUDGEMENTS):
        funds = _find_funds(partner, request)

        def accept(funds: _Funds = funds) -> Repayment:
            _hold_loan(loan, request.repayment_amount, moment)
            repayment = _open_repayment(partner, loan, request, funds, moment)
            if on_accepted is not None:
                on_accepted(repayment.pk)
            if funds.judgement is not None:
                account.accept(funds.judgement, partner, on_trust=funds.source == FundingSource.TRUSTED)
            return repayment

        try:
            return run_in_transaction(accept)
        except JudgedAnew:
            continue
    raise Unavailable(ErrorCode.DATABASE_UNAVAILABLE, "The platform account is changing; this request was not accepted")


def operation_key(repayment: Repayment) -> str:
    """The idempotency key of the repayment's chain operation, and the name that its settlement wakes."""
    return f"{OPERATION_KIND}:{repayment.pk}"


def _check(loan: PartnerLoan, amount: int, moment: int) -> None:
    rules.check_repayable(loan)
    if loan.repayment_in_flight:
        raise rules.repayment_in_progress()
    quote = payoffs.quote(loan, moment)
    if amount > quote.amount:
        rules.check_repayment_amount(amount, quote.debt)


def _find_funds(partner: Partner, request: RepayRequest) -> _Funds:
    if request.repayment_tx_hash is not None:
        return _find_transfer(partner, request.repayment_tx_hash, request.repayment_amount)
    balance, allowance = readings.read_usdc_funding(partner.settlement_address)
    if min(balance, allowance) >= request.repayment_amount:
        return _Funds(FundingSource.PULLED)
    if partner.repayment_funding == RepaymentFunding.TRUSTED:
        account.spending_of(partner.pk)
        judgement = account.judge(partner)
        if judgement.left >= request.repayment_amount:
            return _Funds(FundingSource.TRUSTED, judgement=judgement)
    raise _not_funded(partner, request.repayment_amount, balance, allowance)


def _find_transfer(partner: Partner, tx_hash: str, amount: int) -> _Funds:
    """By a transfer from any address that is or was the partner's: the one with enough left, else the first."""
    senders = settlement_addresses.addresses_of(partner)
    rows = [funding.record(proven) for proven in funding.prove_transfers(tx_hash=tx_hash, senders=senders)]
    transfer = next((row for row in rows if row.value - row.used >= amount), rows[0])
    judgement = None
    are_noted = early_deposits.are_noted(senders, partner.pk)
    if not are_noted or account.must_be_judged(partner, account.spending_of(partner.pk)):
        judgement = account.judge(partner)
        if judgement.left < amount:
            raise funding.spent_already(judgement.left)
    return _Funds(FundingSource.TRANSFER, transfer, judgement)


def _not_funded(partner: Partner, amount: int, balance: int, allowance: int) -> BadRequest:
    account = settings.PLATFORM_EXECUTOR_ADDRESS
    return BadRequest(
        ErrorCode.REPAYMENT_NOT_FUNDED,
        f"Repayment is not funded. Send {format_dollars(amount)} USDC from {partner.settlement_address} to {account}"
        " and pass its repaymentTxHash, or approve that account to pull it",
        details={
            "amount": str(amount),
            "token": settings.USDC_ADDRESS,
            "settlementAddress": partner.settlement_address,
            "platformAccount": account,
            "settlementBalance": str(balance),
            "settlementAllowance": str(allowance),
        },
    )


def _hold_loan(loan: PartnerLoan, amount: int, moment: int) -> None:
    held = PartnerLoan.objects.filter(
        pk=loan.pk,
        status__in=sorted(REPAYABLE),
        repayment_in_flight=False,
        outstanding_principal=loan.outstanding_principal,
        bearing_principal=loan.bearing_principal,  # the payoff's terms are those of now
        interest_since=loan.interest_since,
    ).update(repayment_in_flight=True)
    if held != 1:
        _check(PartnerLoan.objects.get(pk=loan.pk), amount, moment)
        raise rules.repayment_in_progress()  # it changed since it was read and changed back: the caller may try again


def _claim(funds: _Funds, amount: int, payoff: int) -> int:
    """Claim a proven transfer: for a payoff what may be owed when it lands, where so much is left, else the amount."""
    if funds.transfer is None:
        return amount
    return funding.claim(funds.transfer, *sorted({amount, payoff}, reverse=True))


def _most(quote: Quote, requested: int, funds: _Funds) -> int:
    """What a payoff pays at most: its quote, as far as the platform account may go."""
    most = max(quote.amount, requested)
    return most if funds.judgement is None else min(most, funds.judgement.left)


def _open_repayment(
    partner: Partner, loan: PartnerLoan, request: RepayRequest, funds: _Funds, moment: int
) -> Repayment:
    """A payoff where the amount covers the debt now: then what is owed in its block is paid, to the base unit."""
    quote = payoffs.quote(loan, moment)
    closes_loan = request.repayment_amount >= quote.debt
    requested = request.repayment_amount
    most = _most(quote, requested, funds)
    amount = _claim(funds, requested, most if closes_loan else requested)
    repayment_id = uuid.uuid4()
    pull_from = partner.settlement_address if funds.source == FundingSource.PULLED else None
    terms = payoffs.terms_of(loan)
    if closes_loan:
        calls, effect = operations.payoff_operation(loan.solvency_position_id, terms, most, pull_from)
    else:
        calls, effect = operations.repay_operation(loan.solvency_position_id, amount, False, pull_from)
    calls = [*funds.guards(), *calls]
    operation = chain_services.enqueue(
        key=f"{OPERATION_KIND}:{repayment_id}", kind=OPERATION_KIND, calls=calls, effect=effect
    )
    repayment = Repayment.objects.create(
        id=repayment_id,
        loan=loan,
        partner=partner,
        amount=amount,
        closes_loan=closes_loan,
        funding=funds.source,
        funding_transfer=funds.transfer,
        payoff_terms=payoffs.to_json(terms, most=most) if closes_loan else None,
        operation=operation,
    )
    record_change(
        actor=f"partner:{partner.partner_id}",
        action="loan.repayment_requested",
        target=f"loan:{loan.internal_loan_id}",
        after={"repaymentId": str(repayment_id), "amount": str(amount), "funding": str(funds.source)},
    )
    return repayment
