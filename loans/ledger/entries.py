"""The snapshot before a movement: written with it, and restored where a reorg undoes it. Both directions are here.

A snapshot holds the fields that are named here, and restoring one writes exactly those: a field added to a list is
both stored and restored. They are stored by the names of their columns in the database, which do not change when a
field is renamed, and numbers as text, for exact interest is larger than what JSON holds on MongoDB.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model

from loans.ledger.movement import Movement
from loans.ledger.shares import AppliedPayment
from loans.models import LedgerEntry, LedgerEntryKind, PartnerLoan, SolvencyPosition

# What a movement changes of the position.
POOL_FIELDS = (
    *(
        "pool_principal",
        "pool_accrued_scaled",
        "pool_rate_bps",
        "pool_since",
        "loans_principal",
        "loans_accrued_scaled",
    ),
    *("ledger_order", "total_partner_debt"),
)
# What it changes of a loan's share of the debt.
PART_FIELDS = ("bearing_principal", "accrued_scaled", "prior_principal", "prior_accrued_scaled", "interest_since")
# What it changes besides of a loan that was paid, or lost in a liquidation.
PAYMENT_FIELDS = (
    *("status", "outstanding_principal", "interest_paid", "total_repaid", "written_off_principal"),
    *("written_off_interest", "last_repayment_at", "repay_tx_hash", "schedule", "next_due_at", "untold_due_at"),
    *("defaulted_at", "default_day", "liquidated_at", "evidence_order", "evidence_tx_hash", "evidence_block_hash"),
)


def new_entry(
    row: SolvencyPosition,
    movement: Movement,
    kind: LedgerEntryKind,
    amount: int,
    payments: Sequence[AppliedPayment] = (),
    *,
    drawn_by: PartnerLoan | None = None,
) -> LedgerEntry:
    """The movement with the figures from before it, not saved; a second entry of one event breaks the unique
    constraint. `row` and the loans in `payments` are as they were read.
    """
    return LedgerEntry(
        position_id=row.position_id,
        order=movement.order,
        kind=kind,
        amount=amount,
        loan_id=drawn_by.pk if drawn_by is not None else None,
        moment=movement.timestamp,
        tx_hash=movement.tx_hash,
        before={
            "position": _snapshot(row, POOL_FIELDS),
            "loans": {str(payment.loan.pk): _loan_snapshot(payment) for payment in payments},
        },
    )


def position_before(entry: LedgerEntry) -> dict[str, object]:
    """The position's columns and their values before the movement."""
    return _restored(SolvencyPosition, entry.before["position"])


def loans_before(entry: LedgerEntry) -> dict[str, dict[str, Any]]:
    """The columns and values from before the movement of each loan it changed, by the loan's key, in its order.

    `was_paid` tells those with all `PAYMENT_FIELDS` from those of which only the share of the debt changed.
    """
    return {key: _restored(PartnerLoan, entry.before["loans"][key]) for key in sorted(entry.before["loans"])}


def was_paid(loan_before: Mapping[str, object]) -> bool:
    """Whether the movement paid the loan, or lost it, or was meant for it."""
    return "status" in loan_before


def _loan_snapshot(payment: AppliedPayment) -> dict[str, object]:
    if not payment.paid and not payment.lost and not payment.is_target:
        return _snapshot(payment.loan, PART_FIELDS)
    return _snapshot(payment.loan, (*PART_FIELDS, *PAYMENT_FIELDS))


def _snapshot(row: Model, names: Sequence[str]) -> dict[str, object]:
    fields = {field.name: field for field in row._meta.concrete_fields}
    return {str(fields[name].column): _stored(getattr(row, name)) for name in names}


def _stored(value: object) -> Any:
    if isinstance(value, dt.date):  # a datetime too
        return value.isoformat()
    return str(value) if isinstance(value, int) else value


def _restored(model: type[Model], stored: Mapping[str, object]) -> dict[str, object]:
    """The stored values by the names of their fields, as these read them; what an earlier version stored too is not."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    known = {fields[column]: value for column, value in stored.items() if column in fields}
    return {field.name: field.to_python(value) for field, value in known.items()}
