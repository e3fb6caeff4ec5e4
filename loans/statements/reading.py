"""The movements of a partner in a month, read in pages; and what the balance was before it.

By which time a movement counts: a draw by `borrowed_at`, a repayment by `settled_at`, a loss by `liquidated_at`, all
of them block times. What a reorg undid counts as it was booked, and once more, with the opposite sign, at the moment of
the rollback: a month that is over keeps the balance that it had.
"""

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from loans.chain_order import block_of
from loans.models import (
    LedgerEntryKind,
    LoanStatus,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
    UndoneMovement,
)
from loans.statements.lines import Booked
from loans.statements.months import Month
from partners.models import Partner

PAGE = 500  # rows of each stream in memory at a time

Stream = tuple[str, QuerySet[Any], Callable[[list[Any]], Iterable[Booked]]]


def booked_in(partner: Partner, month: Month) -> Iterator[Booked]:
    """The movements of the month in the order of their moments."""
    streams = [
        _in_pages(query.filter(**{f"{by}__gte": month.begins, f"{by}__lt": month.ends}), by, read)
        for by, query, read in _streams(partner)
    ]
    yield from heapq.merge(*streams, key=lambda booked: booked.moment)


def queries_of(partner: Partner, month: Month) -> list[QuerySet[Any]]:
    """The queries of `booked_in`, for the index tests too: the first page, and one behind it."""
    found = []
    for by, query, _ in _streams(partner):
        within = query.filter(**{f"{by}__gte": month.begins, f"{by}__lt": month.ends}).order_by(by, "id")
        found += [within[:PAGE], _after(within, by, month.begins, partner.pk)[:PAGE]]
    return found


def balance_before(partner: Partner, moment: dt.datetime) -> int:
    """The principal that the partner's drawn loans owed then, in base units."""
    drawn = _sum(drawn_query(partner).filter(borrowed_at__lt=moment), "principal_amount")
    repaid = _sum(settled_query(partner).filter(settled_at__lt=moment), "principal_paid")
    lost = _sum(liquidated_query(partner).filter(liquidated_at__lt=moment), "written_off_principal")
    undone = _undone_change(undone_query(partner).filter(moved_at__lt=moment))
    taken_back = _undone_change(undone_query(partner).filter(undone_at__lt=moment))
    return drawn - repaid - lost + undone - taken_back


def pending_principal(partner: Partner) -> int:
    """The principal of the partner's loans that are accepted and not drawn yet, in base units."""
    return _sum(PartnerLoan.objects.filter(partner_id=partner.pk, status=LoanStatus.PENDING), "principal_amount")


def is_undecided(partner: Partner, before: dt.datetime) -> bool:
    """Whether a loan or repayment that was accepted before is not settled: it may still have happened before."""
    loans = PartnerLoan.objects.filter(partner_id=partner.pk, status=LoanStatus.PENDING, created_at__lt=before)
    repayments = Repayment.objects.filter(partner_id=partner.pk, status=RepaymentStatus.PENDING, created_at__lt=before)
    return loans.exists() or repayments.exists()


def drawn_query(partner: Partner) -> QuerySet[PartnerLoan]:
    """The partner's loans, of which those with a `borrowed_at` were drawn."""
    return PartnerLoan.objects.filter(partner_id=partner.pk)


def settled_query(partner: Partner) -> QuerySet[Repayment]:
    """The repayments that count."""
    return Repayment.objects.filter(partner_id=partner.pk, status=RepaymentStatus.SETTLED)


def liquidated_query(partner: Partner) -> QuerySet[PartnerLoan]:
    """The partner's loans, of which those with a `liquidated_at` were liquidated."""
    return PartnerLoan.objects.filter(partner_id=partner.pk)


def undone_query(partner: Partner) -> QuerySet[UndoneMovement]:
    """What reorgs undid."""
    return UndoneMovement.objects.filter(partner_id=partner.pk)


def _streams(partner: Partner) -> list[Stream]:
    """In the order of the lines of one moment."""
    return [
        ("borrowed_at", drawn_query(partner), lambda rows: map(_drawn, rows)),
        ("moved_at", undone_query(partner), partial(_undone, is_undone=False)),
        ("settled_at", settled_query(partner), _settled),
        ("liquidated_at", liquidated_query(partner), lambda rows: map(_lost, rows)),
        ("undone_at", undone_query(partner), partial(_undone, is_undone=True)),
    ]


def _in_pages(query: QuerySet[Any], by: str, read: Callable[[list[Any]], Iterable[Booked]]) -> Iterator[Booked]:
    query = query.order_by(by, "id")
    rows = list(query[:PAGE])
    while rows:
        yield from read(rows)
        if len(rows) < PAGE:
            return
        rows = list(_after(query, by, getattr(rows[-1], by), rows[-1].pk)[:PAGE])


def _after(query: QuerySet[Any], by: str, moment: dt.datetime, key: UUID) -> QuerySet[Any]:
    """The rows behind a place; the first condition is served by the index, the second drops rows of its moment."""
    return query.filter(**{f"{by}__gte": moment}).filter(Q(**{f"{by}__gt": moment}) | Q(id__gt=key))


def _drawn(loan: PartnerLoan) -> Booked:
    return Booked(
        moment=cast(dt.datetime, loan.borrowed_at),
        kind=LedgerEntryKind.DRAW,
        partner_loan_id=loan.partner_loan_id,
        tx_hash=loan.borrow_tx_hash,
        block=_block(loan.draw_order),
        principal=loan.principal_amount,
        fee=loan.platform_fee_charged,
    )


def _settled(repayments: list[Repayment]) -> Iterator[Booked]:
    names = _names(repayment.loan_id for repayment in repayments)
    for repayment in repayments:
        is_liquidation = repayment.repaid_by == RepaymentSource.LIQUIDATION
        yield Booked(
            moment=cast(dt.datetime, repayment.settled_at),
            kind=LedgerEntryKind.LIQUIDATION if is_liquidation else LedgerEntryKind.PAYMENT,
            partner_loan_id=names[repayment.loan_id],
            tx_hash=repayment.tx_hash,
            block=_block(repayment.chain_order),
            principal=repayment.principal_paid,
            interest=repayment.interest_paid,
        )


def _lost(loan: PartnerLoan) -> Booked:
    """What a liquidation recovered of it is a repayment."""
    return Booked(
        moment=cast(dt.datetime, loan.liquidated_at),
        kind=LedgerEntryKind.LIQUIDATION,
        partner_loan_id=loan.partner_loan_id,
        tx_hash=loan.repay_tx_hash,
        block=_block(loan.evidence_order),
        written_off=loan.written_off_principal,
    )


def _undone(rows: list[UndoneMovement], *, is_undone: bool) -> Iterator[Booked]:
    names = _names(row.loan_id for row in rows)
    for row in rows:
        yield Booked(
            moment=row.undone_at if is_undone else row.moved_at,
            kind=LedgerEntryKind(row.kind),
            partner_loan_id=names[row.loan_id],
            tx_hash=row.tx_hash,
            block=_block(row.order),
            principal=row.principal,
            fee=row.fee,
            interest=row.interest,
            written_off=row.written_off,
            is_undone=is_undone,
        )


def _names(loan_keys: Iterable[UUID]) -> dict[UUID, str]:
    """The partner's own ids of at most a page of loans."""
    return dict(PartnerLoan.objects.filter(pk__in=list(set(loan_keys))).values_list("pk", "partner_loan_id"))


def _block(order: int) -> int | None:
    return block_of(order) if order else None


def _sum(query: QuerySet[Any], column: str) -> int:
    return int(query.aggregate(sum=Sum(column))["sum"] or 0)


def _undone_change(query: QuerySet[UndoneMovement]) -> int:
    """What the movements had done to the balance."""
    drawn = _sum(query.filter(kind=LedgerEntryKind.DRAW), "principal")
    others = query.exclude(kind=LedgerEntryKind.DRAW)
    return drawn - int(others.aggregate(sum=Sum(F("principal") + F("written_off")))["sum"] or 0)
