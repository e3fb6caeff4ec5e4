"""Accepting a repayment: funds first, then repayment, claim and operation in one transaction."""

import uuid
from dataclasses import dataclass

from django.conf import settings

from audit.services import record_change
from chain import funding, system
from chain import services as chain_services
from chain.models import FundingTransfer
from loans import rules, selectors
from loans.models import FundingSource, PartnerLoan, Repayment
from loans.states import REPAYABLE
from partner_platform.core.database import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.money import format_dollars
from partners.models import Partner, RepaymentFunding

OPERATION_KIND = "repay"


@dataclass(frozen=True, kw_only=True)
class RepayRequest:
    """What a partner reports; `repayment_amount` in base units."""

    partner_loan_id: str
    repayment_amount: int
    repayment_tx_hash: str | None = None


@dataclass(frozen=True)
class _Funds:
    source: FundingSource
    transfers: tuple[FundingTransfer, ...] = ()


def request_repay(*, partner: Partner, request: RepayRequest) -> Repayment:
    """Accept a repayment and return it PENDING, holding its loan and its funding until it is settled.

    Raises 404 for an unknown loan, 400 for a loan that cannot be repaid, an amount above the debt or missing funds,
    409 where another repayment of the loan is in flight. Source: plan, repay flow; DESIGN, Repay.
    """
    loan = selectors.get_loan(partner=partner, partner_loan_id=request.partner_loan_id)
    _check(loan, request.repayment_amount)
    funds = _find_funds(partner, loan, request)

    def accept() -> Repayment:
        _hold_loan(loan, request.repayment_amount)
        return _open_repayment(partner, loan, request, funds)

    return run_in_transaction(accept)


def operation_key(repayment: Repayment) -> str:
    """The idempotency key of the repayment's chain operation, and the name of the bell that its settlement rings."""
    return f"{OPERATION_KIND}:{repayment.pk}"


def _check(loan: PartnerLoan, amount: int) -> None:
    rules.check_repayable(loan)
    if loan.repayment_in_flight:
        raise rules.repayment_in_progress()
    rules.check_repayment_amount(amount, loan.outstanding_principal)


def _find_funds(partner: Partner, loan: PartnerLoan, request: RepayRequest) -> _Funds:
    if request.repayment_tx_hash is not None:
        proven = funding.prove_transfers(tx_hash=request.repayment_tx_hash, sender=partner.settlement_address)
        return _Funds(FundingSource.TRANSFER, tuple(funding.record_transfers(proven)))
    balance, allowance = system.read_usdc_funding(partner.settlement_address)
    if min(balance, allowance) >= request.repayment_amount:
        return _Funds(FundingSource.PULLED)
    if partner.repayment_funding == RepaymentFunding.TRUSTED:
        return _Funds(FundingSource.TRUSTED)
    raise _not_funded(partner, request.repayment_amount, balance, allowance)


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


def _hold_loan(loan: PartnerLoan, amount: int) -> None:
    held = PartnerLoan.objects.filter(
        pk=loan.pk,
        status__in=sorted(REPAYABLE),
        repayment_in_flight=False,
        outstanding_principal=loan.outstanding_principal,
    ).update(repayment_in_flight=True)
    if held != 1:
        _check(PartnerLoan.objects.get(pk=loan.pk), amount)
        raise rules.repayment_in_progress()  # it changed since it was read and changed back: the caller may try again


def _open_repayment(partner: Partner, loan: PartnerLoan, request: RepayRequest, funds: _Funds) -> Repayment:
    amount = request.repayment_amount
    closes_loan = amount == loan.outstanding_principal
    transfer = funding.claim(list(funds.transfers), amount) if funds.source == FundingSource.TRANSFER else None
    repayment_id = uuid.uuid4()
    calls, effect = system.repay_operation(
        loan.solvency_position_id,
        amount,
        closes_loan,
        partner.settlement_address if funds.source == FundingSource.PULLED else None,
    )
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
        funding_transfer=transfer,
        operation=operation,
    )
    record_change(
        actor=f"partner:{partner.partner_id}",
        action="loan.repayment_requested",
        target=f"loan:{loan.internal_loan_id}",
        after={"repaymentId": str(repayment_id), "amount": str(amount), "funding": str(funds.source)},
    )
    return repayment
