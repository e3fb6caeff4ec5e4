"""Applying a movement to its position's ledger: each once, in the order of the chain. In the caller's transaction.

The position's row carries the place of the last movement, `ledger_order`, and every write demands that it is where it
was read. The pool's own figures after the event (`DebtUpdated`) are compared with ours: where they differ, an event in
between is missing, and nothing is written (`LedgerGap`) until it was fetched. What is written of a loan is the
caller's to do (`ledger.payments`).

A draw costs the same however many loans a position has; a payment reads all of them only where interest runs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet, Sum

from loans.debt import interest
from loans.debt.interest import Part, PositionDebt, PositionSums
from loans.ledger.entries import new_entry
from loans.ledger.errors import LedgerContended, LedgerGap, LedgerPassed
from loans.ledger.movement import Movement
from loans.ledger.shares import (
    AppliedPayment,
    applied_payments,
    divided,
    drawn_figures,
    liquidated_shares,
    live_loans,
    live_loans_query,
    sums_of,
)
from loans.models import LedgerEntry, LedgerEntryKind, PartnerLoan, SolvencyPosition
from loans.states import CLOSED, REPAYABLE
from partner_platform.core.invariants import InvariantViolation

# What a payment does to the debt, and who is credited with how much of it.
Allocation = Callable[[PositionDebt], tuple[PositionDebt, Mapping[str, int]]]


def apply_user_draw(movement: Movement, amount: int) -> None:
    """Apply a draw by the position's owner, who borrowed from the pool without us."""
    _, entry = _apply_draw(position_row(movement.position_id), movement, amount, None)
    entry.save(force_insert=True)


def apply_draws(draws: Sequence[tuple[Movement, PartnerLoan]]) -> list[dict[str, object]]:
    """Apply draws by loans of different positions; returns each loan's figures at the pool, in the same order."""
    rows = {row.position_id: row for row in _rows([movement.position_id for movement, _ in draws])}
    done: dict[int, tuple[dict[str, Any], LedgerEntry]] = {}
    for movement, loan in sorted(draws, key=lambda drawn: drawn[0].position_id):
        row = rows.get(movement.position_id)
        if row is None:
            raise LedgerGap(f"position {movement.position_id} is not mirrored yet")
        done[movement.position_id] = _apply_draw(row, movement, loan.principal_amount, loan)
    LedgerEntry.objects.bulk_create([entry for _, entry in done.values()])
    return [done[movement.position_id][0] for movement, _ in draws]


def _apply_draw(
    row: SolvencyPosition, movement: Movement, amount: int, loan: PartnerLoan | None
) -> tuple[dict[str, Any], LedgerEntry]:
    """Move the position's row; returns the loan's figures (none of the user's own draw), and the entry, not saved."""
    before = _sums_before(row, movement, drawn=amount)
    pool_rate_bps = movement.after.rate_bps if movement.after else 0
    after = interest.after_draw(before, amount, by_loan=loan is not None, pool_rate_bps=pool_rate_bps)
    _require_pools_figures(movement, after.pool)
    _write(row, movement, after, partner_debt=amount if loan is not None else 0)
    entry = new_entry(row, movement, LedgerEntryKind.DRAW, amount, drawn_by=loan)
    return ({} if loan is None else drawn_figures(before, after, amount, draw_order=movement.order)), entry


def apply_payment(
    movement: Movement, allocate: Allocation, *, target: PartnerLoan | None = None, amount: int = 0
) -> list[AppliedPayment]:
    """Apply a payment of `amount` base units; `allocate` says what it does to the debt and who paid how much of it.

    `target` is the loan it is for: where no interest runs, the others need not be read. Returns what it did to each
    loan concerned; their rows are the caller's to write, `changes` included.
    """
    if target is not None and target.status not in (*REPAYABLE, *CLOSED):
        raise LedgerGap(f"loan {target.internal_loan_id} is {target.status}: its draw comes first")
    row = position_row(movement.position_id)
    sums = _sums_before(row, movement, paid=amount)
    loans = _loans_paid(movement.position_id, target, amount, sums)
    before = divided(sums, loans)
    after, paid = allocate(before)
    _require_pools_figures(movement, Part(after.principal, after.accrued_scaled))
    payments = applied_payments(loans, before, after, paid, target)
    partner_debt = -sum(payment.principal for payment in payments)
    _write(row, movement, interest.sums_after_payment(sums, before, after), partner_debt=partner_debt)
    new_entry(row, movement, LedgerEntryKind.PAYMENT, sum(paid.values()), payments).save(force_insert=True)
    return payments


def apply_liquidation(movement: Movement, recovered: int) -> list[AppliedPayment]:
    """Apply a liquidation that paid `recovered` of the position's debt: nothing is owed any more.

    Returns each loan's share, pro rata of what it owed, with what of it is lost; the rows are the caller's to write.
    """
    row = position_row(movement.position_id)
    sums = _sums_before(row, movement, paid=recovered)
    loans = live_loans(movement.position_id)
    payments = liquidated_shares(loans, divided(sums, loans), recovered)
    _require_pools_figures(movement, interest.NOTHING)
    after = PositionSums(pool=interest.NOTHING, loans=interest.NOTHING, rate_bps=sums.rate_bps, since=sums.since)
    _write(row, movement, after, partner_debt=-sum(loan.outstanding_principal for loan in loans))
    new_entry(row, movement, LedgerEntryKind.LIQUIDATION, recovered, payments).save(force_insert=True)
    return payments


def position_row(position_id: int) -> SolvencyPosition:
    """The position's row; it was mirrored before anything was applied to it."""
    for row in _rows([position_id]):
        return row
    raise LedgerGap(f"position {position_id} is not mirrored yet")


def _rows(position_ids: list[int]) -> QuerySet[SolvencyPosition]:
    return SolvencyPosition.objects.filter(position_id__in=position_ids)


def _sums_before(row: SolvencyPosition, movement: Movement, *, drawn: int = 0, paid: int = 0) -> PositionSums:
    """The position's figures just before the event; from the event itself where the ledger begins with it."""
    if row.undo_from is not None:
        raise LedgerGap(f"position {row.position_id}: the rollback of a reorg is to be finished first")
    if row.ledger_order >= movement.order:
        raise LedgerPassed(position_id=row.position_id, block_number=movement.block_number, order=movement.order)
    if row.ledger_order:
        return sums_of(row).at(movement.timestamp)
    loans, after = Part(_bearing_sum(row.position_id)), movement.after
    if after is None:
        return PositionSums(pool=loans, loans=loans, rate_bps=0, since=movement.timestamp)
    pool = Part(after.principal - drawn + paid, after.accrued)
    return PositionSums(pool=pool, loans=loans, rate_bps=after.rate_bps, since=movement.timestamp)


def _bearing_sum(position_id: int) -> int:
    return live_loans_query(position_id).aggregate(total=Sum("bearing_principal"))["total"] or 0


def _loans_paid(position_id: int, target: PartnerLoan | None, amount: int, before: PositionSums) -> list[PartnerLoan]:
    """The loans that a payment of `amount` concerns: without interest the one it is for, where that owes so much.

    Somebody else may have paid that one since the payment was accepted: what it does not owe any more, the others get.
    """
    bears_interest = before.rate_bps or before.pool.accrued_scaled
    if target is not None and not bears_interest and amount <= target.bearing_principal:
        return [target]
    loans = live_loans(position_id)
    return loans if target is None or target.status in REPAYABLE else [*loans, target]


def _require_pools_figures(movement: Movement, pool: Part) -> None:
    after = movement.after
    if after is not None and (after.principal, after.accrued) != (pool.principal, pool.accrued_scaled):
        raise LedgerGap(
            f"position {movement.position_id}: the pool says {after.principal} + {after.accrued} after block"
            f" {movement.block_number}, the ledger {pool.principal} + {pool.accrued_scaled}"
        )


def _write(row: SolvencyPosition, movement: Movement, after: PositionSums, *, partner_debt: int) -> None:
    if row.total_partner_debt + partner_debt < 0:
        raise InvariantViolation(f"M4: position {row.position_id} does not carry {-partner_debt} of partner debt")
    moved = SolvencyPosition.objects.as_read(row, "ledger_order", "total_partner_debt").update(
        pool_principal=after.pool.principal,
        pool_accrued_scaled=after.pool.accrued_scaled,
        pool_rate_bps=after.rate_bps,
        pool_since=movement.timestamp,
        loans_principal=after.loans.principal,
        loans_accrued_scaled=after.loans.accrued_scaled,
        ledger_order=movement.order,
        total_partner_debt=row.total_partner_debt + partner_debt,
    )
    if moved != 1:
        raise LedgerContended(f"position {row.position_id} moved meanwhile")
