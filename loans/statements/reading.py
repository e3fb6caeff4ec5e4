"""The movements of a partner in a month, read in pages; and what the balance was before it.

By which time a movement counts: a draw by `borrowed_at`, a repayment by `settled_at`, a loss by `liquidated_at`, all
of them block times. What a reorg undid counts as it was booked, and once more, with the opposite sign, at the moment of
the rollback: a month that is over keeps the balance that it had.
"""

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar, cast
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from chain import selectors as chain_selectors
from loans.chain_order import block_of
from loans.models import (
    LedgerEntryKind,
    LoanStatus,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
    SolvencyPosition,
    UndoneMovement,
)
from loans.statements.lines import Booked
from loans.statements.months import Month
from partner_platform.core.database.batches import batched
from partners.models import Partner

PAGE = 500  # rows of each stream in memory at a time

M = TypeVar("M", PartnerLoan, Repayment, UndoneMovement)


def booked_in(partner: Partner, month: Month) -> Iterator[Booked]:
    """The movements of the month in the order of their moments; of one moment as they stand here."""
    streams = [
        _in_pages(drawn_query(partner), "borrowed_at", month, lambda rows: map(_drawn, rows)),
        _in_pages(undone_query(partner), "moved_at", month, partial(_undone, is_undone=False)),
        _in_pages(settled_query(partner), "settled_at", month, _settled),
        _in_pages(liquidated_query(partner), "liquidated_at", month, lambda rows: map(_lost, rows)),
        _in_pages(undone_query(partner), "undone_at", month, partial(_undone, is_undone=True)),
    ]
    yield from heapq.merge(*streams, key=lambda booked: booked.moment)


def in_month(query: QuerySet[M], by: str, month: Month) -> QuerySet[M]:
    """The rows whose moment `by` is in the month, in their order, which an index has."""
    return query.filter(**{f"{by}__gte": month.begins, f"{by}__lt": month.ends}).order_by(by, "id")


def after_place(query: QuerySet[M], by: str, moment: dt.datetime, key: UUID) -> QuerySet[M]:
    """The rows behind a place; the first condition is served by the index, the second drops rows of its moment."""
    return query.filter(**{f"{by}__gte": moment}).filter(Q(**{f"{by}__gt": moment}) | Q(id__gt=key))


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
    """Whether a loan or repayment that was accepted before is not settled, or the books of a position of the partner's
    are known to be behind the chain: something may still be booked that happened before.
    """
    loans = PartnerLoan.objects.filter(partner_id=partner.pk, status=LoanStatus.PENDING, created_at__lt=before)
    repayments = Repayment.objects.filter(partner_id=partner.pk, status=RepaymentStatus.PENDING, created_at__lt=before)
    return loans.exists() or repayments.exists() or _is_behind(partner, before)


def _is_behind(partner: Partner, before: dt.datetime) -> bool:
    """Whether a position with loans of the partner has events of before that are not applied, or a rollback to do."""
    rolled_back = SolvencyPosition.objects.filter(undo_from__gte=0).values_list("position_id", flat=True)
    behind = chain_selectors.positions_unapplied_before(int(before.timestamp())) | set(rolled_back)
    loans = PartnerLoan.objects.filter(partner_id=partner.pk)
    return any(loans.filter(solvency_position_id__in=chosen).exists() for chosen in batched(sorted(behind)))


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


def _in_pages(
    query: QuerySet[M], by: str, month: Month, read: Callable[[list[M]], Iterable[Booked]]
) -> Iterator[Booked]:
    query = in_month(query, by, month)
    rows = list(query[:PAGE])
    while rows:
        yield from read(rows)
        if len(rows) < PAGE:
            return
        rows = list(after_place(query, by, getattr(rows[-1], by), rows[-1].pk)[:PAGE])


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


def _sum(query: QuerySet[M], column: str) -> int:
    return int(query.aggregate(sum=Sum(column))["sum"] or 0)


def _undone_change(query: QuerySet[UndoneMovement]) -> int:
    """What the movements had done to the balance."""
    drawn = _sum(query.filter(kind=LedgerEntryKind.DRAW), "principal")
    others = query.exclude(kind=LedgerEntryKind.DRAW)
    return drawn - int(others.aggregate(sum=Sum(F("principal") + F("written_off")))["sum"] or 0)
