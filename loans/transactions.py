"""Borrows and repayments of a partner in one list by time (endpoint 8), as pages or as CSV.

A BORROW is a loan, a REPAY a repayment of one, whoever paid. Loans and repayments are read as streams, each in the
order of an index, and merged: a page costs the same at any depth. SUCCESS of a borrow is every status of a loan that
was drawn; each of those is a stream of its own, since only rows of one status lie in order in the index.
"""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, TextChoices

from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from partner_platform.core.clock import isoformat
from partner_platform.core.web import pagination
from partner_platform.core.web.pagination import NEWEST_FIRST, Page, Place
from partners.models import Partner

CSV_PAGE = 500
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    *("timestamp", "type", "partnerLoanId", "amount", "userWallet", "txHash", "status"),
    *("repaymentId", "failureReason"),
)


class TransactionType(TextChoices):
    BORROW = "BORROW"
    REPAY = "REPAY"


class TransactionStatus(TextChoices):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


LOAN_STATUSES: dict[str, list[LoanStatus]] = {
    TransactionStatus.PENDING: [LoanStatus.PENDING],
    TransactionStatus.SUCCESS: [
        LoanStatus.ACTIVE,
        LoanStatus.REPAID,
        LoanStatus.DEFAULTED,
        LoanStatus.LIQUIDATED,
    ],
    TransactionStatus.FAILED: [LoanStatus.FAILED],
}
REPAYMENT_STATUSES: dict[str, RepaymentStatus] = {
    TransactionStatus.PENDING: RepaymentStatus.PENDING,
    TransactionStatus.SUCCESS: RepaymentStatus.SETTLED,
    TransactionStatus.FAILED: RepaymentStatus.FAILED,
}
_OF_LOAN = {loan: status for status, loans in LOAN_STATUSES.items() for loan in loans}
_OF_REPAYMENT = {repayment: status for status, repayment in REPAYMENT_STATUSES.items()}


@dataclass(frozen=True)
class Selection:
    """Which transactions: of whole UTC days, both included, of one type, of one status; None is all."""

    partner: Partner
    start: dt.date | None = None
    end: dt.date | None = None
    type: str | None = None
    status: str | None = None

    @property
    def scope(self) -> str:
        """What a cursor of this selection belongs to."""
        return f"transactions:{self.partner.pk}:{self.start}:{self.end}:{self.type}:{self.status}"


def list_transactions(selection: Selection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """A page of the selection, newest first, its rows as the API shows them."""
    page = pagination.paginate(
        streams=streams(selection), scope=selection.scope, limit=limit, offset=offset, cursor=cursor
    )
    return Page(page.total, _rows(page.rows), page.next)


def csv_chunks(selection: Selection) -> Iterator[str]:
    """The whole selection as CSV with a heading, newest first, read and written in pieces."""
    yield _csv([COLUMNS])
    queries = streams(selection)
    while rows := pagination.merge(queries, CSV_PAGE):
        yield _csv([[_cell(row[name]) for name in COLUMNS] for row in _rows(rows)])
        if len(rows) < CSV_PAGE:
            return
        place = Place(rows[-1].created_at, rows[-1].pk)
        queries = [pagination.behind(query, place) for query in streams(selection)]


def streams(selection: Selection) -> list[QuerySet[Any]]:
    """The selection's queries, each ordered by an index."""
    found: list[QuerySet[Any]] = []
    if selection.type in (None, TransactionType.BORROW):
        found += _streams(PartnerLoan, selection, LOAN_STATUSES.get(selection.status or "", []))
    if selection.type in (None, TransactionType.REPAY):
        status = REPAYMENT_STATUSES.get(selection.status or "")
        found += _streams(Repayment, selection, [status] if status else [])
    return found


def _streams(model: Any, selection: Selection, statuses: list[Any]) -> list[QuerySet[Any]]:
    rows = model.objects.filter(partner_id=selection.partner.pk).order_by(*NEWEST_FIRST)
    rows = pagination.within_days(rows, selection.start, selection.end)
    return [rows.filter(status=status) for status in statuses] or [rows]


def _rows(rows: list[Any]) -> list[dict[str, Any]]:
    wanted = {row.loan_id for row in rows if isinstance(row, Repayment)}
    found = PartnerLoan.objects.filter(pk__in=list(wanted)).only("partner_loan_id", "user_wallet") if wanted else []
    loans = {loan.pk: loan for loan in found}
    return [_repay(row, loans[row.loan_id]) if isinstance(row, Repayment) else _borrow(row) for row in rows]


def _borrow(loan: PartnerLoan) -> dict[str, object]:
    status = _OF_LOAN[LoanStatus(loan.status)]
    return _row(loan, loan, TransactionType.BORROW, status, loan.principal_amount, loan.borrow_tx_hash)


def _repay(repayment: Repayment, loan: PartnerLoan) -> dict[str, object]:
    status = status_of_repayment(repayment)
    row = _row(repayment, loan, TransactionType.REPAY, status, repayment.amount, repayment.tx_hash)
    return {**row, "repaymentId": str(repayment.pk)}


def status_of_repayment(repayment: Repayment) -> TransactionStatus:
    """PENDING, SUCCESS or FAILED."""
    return TransactionStatus(_OF_REPAYMENT[RepaymentStatus(repayment.status)])


def _row(row: Any, loan: PartnerLoan, kind: TransactionType, status: str, amount: int, tx_hash: str) -> dict[str, Any]:
    return {
        "timestamp": isoformat(row.created_at),
        "type": str(kind),
        "partnerLoanId": loan.partner_loan_id,
        "amount": str(amount),
        "userWallet": loan.user_wallet,
        "txHash": tx_hash or None,
        "status": str(status),
        "repaymentId": None,
        "failureReason": row.failure_reason or None,
    }


def _cell(text: str | None) -> str:
    """The text, with a `'` before what a spreadsheet would take for a formula (OWASP, CSV Injection).

    That is a loan's id that begins with a dash; no id begins with a `'`, so whoever reads the file can take it off.
    """
    text = text or ""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
