"""Reads of the books. Another partner's loan is not found, never forbidden."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import QuerySet

from loans.models import LoanStatus, OaidCredit, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from partner_platform.core.database.lookup import Listing, Lookup
from partner_platform.core.errors import ErrorCode, NotFound
from partner_platform.core.web.pagination import MOST_COUNTED, NEWEST_FIRST, Page, paginate, within_days
from partners.models import Partner

HISTORY_LENGTH = 100
_loan_of_partner = Lookup(PartnerLoan.objects.all, "partner_id", "partner_loan_id")
_settled_of_loan = Listing(
    lambda: Repayment.objects.values_list("amount", "settled_at", "tx_hash", "repaid_by", "chain_order"),
    "loan_id",
    "status",
    order=("-chain_order",),
    limit=HISTORY_LENGTH,
)


def get_loan(*, partner: Partner, partner_loan_id: str) -> PartnerLoan:
    """The partner's loan by the partner's own id, or 404."""
    try:
        return _loan_of_partner.get(partner_id=partner.pk, partner_loan_id=partner_loan_id)
    except PartnerLoan.DoesNotExist:
        raise NotFound(ErrorCode.LOAN_NOT_FOUND, "Loan not found") from None


def get_repayment(*, partner: Partner, repayment_id: str) -> Repayment:
    """The partner's repayment with its loan, by the id that its acceptance answered, or 404."""
    try:
        return Repayment.objects.select_related("loan").get(pk=uuid.UUID(repayment_id), partner_id=partner.pk)
    except (ValueError, Repayment.DoesNotExist):
        raise NotFound(ErrorCode.REPAYMENT_NOT_FOUND, "Repayment not found") from None


class SettledPayment(NamedTuple):
    """A settled repayment as the history of its loan tells it; `order` is its place on the chain."""

    amount: int
    settled_at: dt.datetime
    tx_hash: str
    repaid_by: str
    order: int


def repayment_history(loan: PartnerLoan) -> list[SettledPayment]:
    """What was paid on the loan, whoever paid: the newest `HISTORY_LENGTH` payments, oldest first.

    As of the moment the loan was read: a payment that was credited since is not among them. One query where the loan
    was repaid anything, none where not.
    """
    if not loan.total_repaid or loan.last_repayment_at is None:
        return []
    settled = [SettledPayment(*row) for row in _settled_of_loan.all(loan_id=loan.pk, status=RepaymentStatus.SETTLED)]
    known = [payment for payment in settled if payment.amount and payment.settled_at <= loan.last_repayment_at]
    return sorted(known, key=lambda payment: (payment.order, payment.settled_at))


def loan_id_exists(*, partner_pk: Any, partner_loan_id: str) -> bool:
    """Whether the partner used this id before, for a loan in any status."""
    return PartnerLoan.objects.filter(partner_id=partner_pk, partner_loan_id=partner_loan_id).exists()


def loan_by_key(loan_pk: Any) -> PartnerLoan:
    """A loan with its operation, by its primary key."""
    return PartnerLoan.objects.select_related("borrow_operation").get(pk=loan_pk)


def repayment_by_key(repayment_pk: Any) -> Repayment:
    """A repayment with its loan, by its primary key."""
    return Repayment.objects.select_related("loan").get(pk=repayment_pk)


def consent_is_used(*, user_wallet: str, nonce: int) -> bool:
    """Whether a loan was drawn on the wallet's consent with this nonce, whichever partner's it is."""
    return PartnerLoan.objects.filter(user_wallet=user_wallet, consent_nonce=nonce).exists()


def borrow_outcome(loan_pk: Any) -> PartnerLoan | None:
    """The loan once its borrow is final (ACTIVE, FAILED or later), None while it is PENDING."""
    return PartnerLoan.objects.filter(pk=loan_pk).exclude(status=LoanStatus.PENDING).first()


def repayment_outcome(repayment_pk: Any) -> Repayment | None:
    """The repayment with its loan once it is final, None while it is PENDING."""
    finished = Repayment.objects.filter(pk=repayment_pk).exclude(status=RepaymentStatus.PENDING)
    return finished.select_related("loan").first()


def list_user_loans(
    *, partner: Partner, user_wallet: str, status: str | None, limit: int, offset: int, cursor: str | None = None
) -> Page:
    """A page of the user's loans through this partner, newest first."""
    return paginate(
        streams=[user_loans_query(partner=partner, user_wallet=user_wallet, status=status)],
        scope=f"loans:{partner.pk}:{user_wallet}:{status}",
        limit=limit,
        offset=offset,
        cursor=cursor,
    )


def user_loans_query(*, partner: Partner, user_wallet: str, status: str | None) -> Any:
    """The list's query, for the index tests too."""
    loans = PartnerLoan.objects.filter(partner=partner, user_wallet=user_wallet)
    if status is not None:
        loans = loans.filter(status=status)
    return loans.order_by(*NEWEST_FIRST)


@dataclass(frozen=True, kw_only=True)
class LoanSelection:
    """Which of a partner's loans, or of all: accepted on whole UTC days, both included, and equal in what is not None.

    The texts of the metadata are a partner's own: of all loans, no index has them.
    """

    partner: Partner | None
    status: str | None = None
    user_wallet: str | None = None
    partner_user_id: str | None = None
    loan_purpose: str | None = None
    start: dt.date | None = None
    end: dt.date | None = None

    @property
    def scope(self) -> str:
        """What a cursor of this selection belongs to; as JSON, for a partner chooses some of the texts."""
        columns = (self.status, self.user_wallet, self.partner_user_id, self.loan_purpose)
        of = None if self.partner is None else self.partner.pk
        return f"all-loans:{of}:{self.start}:{self.end}:{json.dumps(columns)}"


def list_loans(selection: LoanSelection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """A page of the selected loans, newest first."""
    return paginate(streams=[loans_query(selection)], scope=selection.scope, limit=limit, offset=offset, cursor=cursor)


def list_any_loans(selection: LoanSelection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """The same for staff: no more than `MOST_COUNTED` loans are counted."""
    return paginate(
        streams=[loans_query(selection)],
        scope=f"staff:{selection.scope}",
        limit=limit,
        offset=offset,
        cursor=cursor,
        most_counted=MOST_COUNTED,
    )


def loan_by_internal_id(internal_loan_id: str) -> PartnerLoan:
    """The loan with this id, whichever partner's it is, or 404 `loan_not_found`."""
    try:
        return PartnerLoan.objects.get(internal_loan_id=uuid.UUID(internal_loan_id))
    except (ValueError, PartnerLoan.DoesNotExist):
        raise NotFound(ErrorCode.LOAN_NOT_FOUND, "Loan not found") from None


def loans_query(selection: LoanSelection) -> QuerySet[PartnerLoan]:
    """The list's query, for the index tests too.

    Whichever columns are given, an index has the rows of one of them, or of it and the status, in the list's order;
    the others are compared row by row. A wallet's and a user's loans are few, and of a purpose and a status together
    there is an index: the rows that are passed over are few.
    """
    wanted = {
        "status": selection.status,
        "user_wallet": selection.user_wallet,
        "partner_user_id": selection.partner_user_id,
        "loan_purpose": selection.loan_purpose,
    }
    given = {column: value for column, value in wanted.items() if value is not None}
    found: QuerySet[PartnerLoan] = PartnerLoan.objects.filter(**given)
    if selection.partner is not None:
        found = found.filter(partner_id=selection.partner.pk)
    return within_days(found.order_by(*NEWEST_FIRST), selection.start, selection.end)


def active_positions() -> list[SolvencyPosition]:
    """Every mirrored position that loans can be drawn on."""
    return list(SolvencyPosition.objects.filter(active__in=[True]).order_by("position_id"))


def credit_version(oaid_token_id: int) -> int:
    """How often the OAID's reservations have moved."""
    return OaidCredit.objects.get(oaid_token_id=oaid_token_id).version


def operations_in_flight(oaid_token_id: int) -> dict[tuple[str, str], int]:
    """`(executor, uid)` -> principal of the OAID's PENDING loans."""
    pending = PartnerLoan.objects.filter(oaid_token_id=oaid_token_id, status=LoanStatus.PENDING)
    rows = pending.values_list("borrow_operation__executor", "borrow_operation__uid", "principal_amount")
    return {(executor, uid): principal for executor, uid, principal in rows}
