"""Accepting a borrow: every check of the plan in its order, then loan, reservations and operation at once."""

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from audit.services import record_change
from chain import services as chain_services
from chain.lending import operations, readings
from chain.lending.readings import OaidReading, PositionReading
from loans import rules, selectors
from loans.consent import evidence, verification
from loans.consent.message import borrow_from
from loans.consent.verification import UserAuthorization
from loans.models import PartnerLoan
from loans.positions import credit
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest
from partner_platform.core.money import fee_on
from partners import limits
from partners.idempotency.records import OnAccepted
from partners.models import Partner

OPERATION_KIND = "borrow"


@dataclass(frozen=True, kw_only=True)
class BorrowRequest:
    """What a partner asks for; `borrow_amount` in base units."""

    oaid_token_id: int
    user_wallet: str
    borrow_amount: int
    partner_loan_id: str
    metadata: dict[str, Any] | None = None
    loan_duration: int | None = None  # seconds
    number_of_installments: int | None = None
    user_authorization: UserAuthorization | None = None


def request_borrow(*, partner: Partner, request: BorrowRequest, on_accepted: OnAccepted | None = None) -> PartnerLoan:
    """Accept a borrow and return its PENDING loan; the settlement engine does the rest.

    `on_accepted` is called with the loan's key inside the transaction that makes it.
    Raises 400 below the smallest loan, 403 without the user's consent, then the plan's refusals in its order (1a
    ownership, 1b active, 1c credit, 1d daily, 1e total, 1f duplicate, position), `Unavailable` where the chain cannot
    be reached. Whatever raises, nothing stays reserved. Source: plan, borrow flow.
    """
    rules.check_minimum(request.borrow_amount, settings.MIN_BORROW)
    proof = _require_consent(partner, request)
    exactly = False
    for _ in range(credit.MAX_READINGS):
        reading, position = _read(request.oaid_token_id)
        rules.check_ownership(reading, request.user_wallet)
        rules.check_credit_line(reading)
        limit = credit.exact_limit(reading) if exactly else credit.limit_from(reading)
        try:
            accept = partial(_accept, partner, request, proof, reading, position, limit, on_accepted)
            return credit.accept_with_row(request.oaid_token_id, accept)
        except credit.ReadingTooOld:
            readings.forget_block()
        except credit.CreditContended:
            exactly = True
    raise credit.unsettled_chain()


def _read(token_id: int) -> tuple[OaidReading, PositionReading | None]:
    backing = readings.read_backing(token_id)
    oaid = rules.require_oaid(None if backing is None else backing.oaid, token_id)
    return oaid, None if backing is None else backing.position


def _accept(
    partner: Partner,
    request: BorrowRequest,
    proof: dict[str, Any] | None,
    reading: OaidReading,
    position: PositionReading | None,
    limit: credit.CreditLimit,
    on_accepted: OnAccepted | None,
) -> PartnerLoan:
    today = clock.today()

    def accept() -> PartnerLoan:
        remaining_credit = credit.reserve_credit(limit, request.borrow_amount)
        limits.reserve(
            partner_id=partner.pk,
            amount=request.borrow_amount,
            day=today,
            daily_limit=partner.daily_borrow_limit,
        )
        backing = _require_position(partner, request, reading, position)
        loan = _open_loan(partner, request, proof, backing, remaining_credit=remaining_credit, day=today)
        if on_accepted is not None:
            on_accepted(loan.pk)
        return loan

    limits.ensure_day(partner_id=partner.pk, day=today)
    try:
        return run_in_transaction(accept)
    except IntegrityError:
        # Duplicates are the unique constraint's to find: asking first would cost every good borrow a query.
        _require_new(partner, request)
        consented = request.user_authorization
        if consented is not None and selectors.consent_is_used(user_wallet=request.user_wallet, nonce=consented.nonce):
            raise verification.used() from None
        raise


def _require_position(
    partner: Partner, request: BorrowRequest, reading: OaidReading, position: PositionReading | None
) -> PositionReading:
    try:
        return rules.require_position(position, reading)
    except BadRequest:
        _require_new(partner, request)  # the plan names a duplicate first
        raise


def _require_new(partner: Partner, request: BorrowRequest) -> None:
    if selectors.loan_id_exists(partner_pk=partner.pk, partner_loan_id=request.partner_loan_id):
        raise rules.duplicate_loan_id()


def _require_consent(partner: Partner, request: BorrowRequest) -> dict[str, Any] | None:
    """What proves the user's consent, None where none is needed nor given; 403 where it is missing or wrong.

    The loan is then made of the same `partner`, so on the terms that were signed, whatever changes meanwhile.
    """
    given = request.user_authorization
    if given is None:
        verification.require_none_needed()
        return None
    borrow = borrow_from(partner, request, nonce=given.nonce, deadline=given.deadline)
    version = verification.require_signed(wallet=request.user_wallet, borrow=borrow, given=given)
    return evidence.to_keep(borrow, version, given.signature)


def _open_loan(
    partner: Partner,
    request: BorrowRequest,
    proof: dict[str, Any] | None,
    position: PositionReading,
    *,
    remaining_credit: int,
    day: Any,
) -> PartnerLoan:
    fee = fee_on(request.borrow_amount, partner.platform_fee_percentage)
    net = request.borrow_amount - fee
    internal_loan_id = uuid.uuid4()
    calls, effect = operations.borrow_operation(
        position.position_id,
        request.borrow_amount,
        partner.settlement_address,
        net,
        duration=request.loan_duration,
        installments=request.number_of_installments,
    )
    operation = chain_services.enqueue(
        key=f"{OPERATION_KIND}:{internal_loan_id}", kind=OPERATION_KIND, calls=calls, effect=effect
    )
    consented = request.user_authorization
    loan = PartnerLoan.objects.create(
        internal_loan_id=internal_loan_id,
        partner=partner,
        partner_loan_id=request.partner_loan_id,
        partner_name=partner.partner_name,
        user_wallet=request.user_wallet,
        oaid_token_id=request.oaid_token_id,
        solvency_position_id=position.position_id,
        principal_amount=request.borrow_amount,
        outstanding_principal=request.borrow_amount,
        platform_fee_charged=fee,
        net_amount=net,
        remaining_credit=remaining_credit,
        settlement_address=partner.settlement_address,
        borrow_operation=operation,
        daily_usage_day=day,
        user_authorization=proof,
        consent_nonce=consented.nonce if consented else None,
        metadata=request.metadata,
        loan_duration=request.loan_duration,
        number_of_installments=request.number_of_installments,
    )
    record_change(
        actor=f"partner:{partner.partner_id}",
        action="loan.requested",
        target=f"loan:{internal_loan_id}",
        after={
            "status": loan.status,
            "principalAmount": str(loan.principal_amount),
            "oaidTokenId": str(loan.oaid_token_id),
        },
    )
    return loan
