"""A new loan: its row, the operation that draws it and the audit entry, in the transaction that reserves for it."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from audit.services import record_change
from chain import services as chain_services
from chain.lending import operations
from chain.lending.readings import Backing, PositionReading
from chain.models import Operation
from loans import rules, selectors
from loans.consent import verification
from loans.consent.message import UserAuthorization
from loans.labels import label_of
from loans.models import PartnerLoan
from partner_platform.core.errors import BadRequest
from partner_platform.core.money import fee_on
from partners.idempotency.records import OnAccepted
from partners.models import Partner

BORROW_KIND = "borrow"


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


def open_loan(
    partner: Partner,
    request: BorrowRequest,
    proof: dict[str, object] | None,
    backing: Backing,
    day: dt.date,
    on_accepted: OnAccepted | None,
    remaining_credit: int,
) -> PartnerLoan:
    """Make the PENDING loan on the position that backs the OAID, on the partner's terms as `partner` has them.

    `proof` is what is kept of the user's consent, `day` the UTC day whose limit the loan counts in. Raises 409 for a
    loan id that was used, then 400 where no position can take the loan; `IntegrityError` where another request with
    the same loan id or consent was accepted first (`refuse_duplicate`).
    """
    position = find_position(partner, request, backing)
    loan = _create_loan(partner, request, position, proof=proof, day=day, remaining_credit=remaining_credit)
    record_change(
        actor=f"partner:{partner.partner_id}",
        action="loan.requested",
        target=f"loan:{loan.internal_loan_id}",
        after={
            "status": loan.status,
            "principalAmount": str(loan.principal_amount),
            "oaidTokenId": str(loan.oaid_token_id),
        },
    )
    if on_accepted is not None:
        on_accepted(loan.pk)
    return loan


def refuse_duplicate(partner: Partner, request: BorrowRequest) -> None:
    """Raise 409 for a loan id, or a consent, that was used; called where a unique constraint found one.

    To look for them before that would cost every good borrow a query.
    """
    _require_new(partner, request)
    consented = request.user_authorization
    if consented is not None and selectors.consent_is_used(user_wallet=request.user_wallet, nonce=consented.nonce):
        raise verification.used() from None


def find_position(partner: Partner, request: BorrowRequest, backing: Backing) -> PositionReading:
    """The position that takes the loan; raises 409 for a loan id that was used, else 400 where there is none."""
    try:
        return rules.require_position(backing.position, backing.oaid)
    except BadRequest:
        _require_new(partner, request)  # the plan names a duplicate first
        raise


def _require_new(partner: Partner, request: BorrowRequest) -> None:
    if selectors.loan_id_exists(partner_pk=partner.pk, partner_loan_id=request.partner_loan_id):
        raise rules.duplicate_loan_id()


def _create_loan(
    partner: Partner,
    request: BorrowRequest,
    position: PositionReading,
    *,
    proof: dict[str, object] | None,
    day: dt.date,
    remaining_credit: int,
) -> PartnerLoan:
    fee = fee_on(request.borrow_amount, partner.platform_fee_percentage)
    net = request.borrow_amount - fee
    internal_loan_id = uuid.uuid4()
    consented = request.user_authorization
    return PartnerLoan.objects.create(
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
        borrow_operation=_enqueue_draw(internal_loan_id, partner.settlement_address, net, request, position),
        daily_usage_day=day,
        user_authorization=proof,
        consent_nonce=consented.nonce if consented else None,
        metadata=request.metadata,
        partner_user_id=label_of(request.metadata, "partnerUserId"),
        loan_purpose=label_of(request.metadata, "loanPurpose"),
        loan_duration=request.loan_duration,
        number_of_installments=request.number_of_installments,
    )


def _enqueue_draw(
    internal_loan_id: uuid.UUID, settlement_address: str, net: int, request: BorrowRequest, position: PositionReading
) -> Operation:
    """The operation that borrows the amount and pays `net` base units of it to the settlement address."""
    calls, effect = operations.borrow_operation(
        position.position_id,
        request.borrow_amount,
        settlement_address,
        net,
        duration=request.loan_duration,
        installments=request.number_of_installments,
    )
    return chain_services.enqueue(key=f"{BORROW_KIND}:{internal_loan_id}", kind=BORROW_KIND, calls=calls, effect=effect)
