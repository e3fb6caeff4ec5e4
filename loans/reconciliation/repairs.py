"""Repairing a running sum: it is derived from its records in the very transaction that writes it.

Every transaction that moves what a sum adds up also writes the sum's row. So the row is taken first: on PostgreSQL the
update locks it (SQLite's writers take turns in any case), and what is read afterwards is all that was committed;
whoever is about to move the sum waits and moves the repaired one. On MongoDB the records are read in the transaction's
snapshot and the write conflicts with whoever wrote the row since, or is about to: then all of it runs again.
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import F, Sum

from audit.services import record_change
from chain.models import FundingTransfer
from loans.models import (
    LoanStatus,
    OaidCredit,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
    SolvencyPosition,
)
from loans.reconciliation.activity import BY_EVENT
from loans.reconciliation.days import ONE_DAY, day_begins
from loans.reconciliation.findings import BooksFinding, Repair
from loans.states import REPAYABLE
from partner_platform.core.database.batches import batched
from partner_platform.core.database.transactions import run_in_transaction
from partners.models import Partner, PartnerDailyUsage

ACTOR = "system:reconcile"
UNDRAWN = (LoanStatus.PENDING, LoanStatus.FAILED)
# Columns that count the moves of another, for decisions that were made on it (`credit.limit_of`).
COUNTERS: dict[str, str] = {"loans.OaidCredit": "version"}


class NotDerivable(Exception):
    """The records add up to what cannot be: one of them is wrong, and the sum is left as it is."""


def repair_sum(finding: BooksFinding) -> bool:
    """Write the derived sum; False where it cannot be derived, or is right by now. Raises `NotDerivable`."""
    wanted = finding.repair
    return wanted is not None and run_in_transaction(lambda: _repair(finding, wanted))


def _repair(finding: BooksFinding, wanted: Repair) -> bool:
    model: Any = apps.get_model(wanted.model)
    mine = model.objects.filter(pk=wanted.pk)
    if mine.update(**{wanted.column: F(wanted.column)}) != 1:
        return False
    row = mine.get()
    booked, derived = getattr(row, wanted.column), DERIVED[wanted.model](row, wanted.column)
    if booked == derived:
        return False
    if derived < 0:  # MongoDB has no constraint that would refuse it
        raise NotDerivable(f"{finding.subject} {wanted.column} would be {derived}")
    counter = COUNTERS.get(wanted.model)
    moved = {} if counter is None else {counter: F(counter) + 1}
    if mine.filter(**{wanted.column: booked}).update(**{wanted.column: derived}, **moved) != 1:
        return False
    record_change(
        actor=ACTOR,
        action="books.repaired",
        target=finding.subject,
        before={wanted.column: str(booked)},
        after={wanted.column: str(derived)},
    )
    return True


# --- What each sum adds up ------------------------------------------------------------------------------------


def _of_loan(loan: PartnerLoan, column: str) -> int:
    settled = Repayment.objects.filter(loan=loan.pk, status=RepaymentStatus.SETTLED)
    if column == "total_repaid":
        return _sum(settled, "amount")
    if column == "interest_paid":
        return _sum(settled, "interest_paid")
    if loan.status == LoanStatus.FAILED:
        return 0
    return loan.principal_amount - _sum(settled, "principal_paid") - loan.written_off_principal


def _of_partner(partner: Partner, column: str) -> int:
    loans = PartnerLoan.objects.filter(partner=partner.pk)
    settled = Repayment.objects.filter(partner=partner.pk, status=RepaymentStatus.SETTLED)
    if column == "current_outstanding":
        owed = loans.exclude(status=LoanStatus.FAILED)
        lent = _sum(owed, "principal_amount") - _sum(owed, "written_off_principal")
        return lent - _sum(settled, "principal_paid")
    if column == "total_borrowed":
        return _sum(loans.exclude(status__in=UNDRAWN), "principal_amount")
    if column == "total_repaid":
        return _sum(settled, "amount")
    return loans.filter(status__in=sorted(REPAYABLE) if column == "active_loans" else [LoanStatus.REPAID]).count()


def _of_day(usage: PartnerDailyUsage, column: str) -> int:
    if column in BY_EVENT:
        return _of_events(usage, column)
    accepted = day_begins(usage.day)
    loans = PartnerLoan.objects.filter(
        partner=usage.partner_id, created_at__gte=accepted - ONE_DAY, created_at__lt=accepted + 2 * ONE_DAY
    )
    of_day = loans.filter(daily_usage_day=usage.day).exclude(status=LoanStatus.FAILED)
    if column == "borrowed":
        return _sum(of_day, "principal_amount")
    drawn = of_day.exclude(status=LoanStatus.PENDING)
    if column == "drawn_loans":
        return drawn.count()
    return _sum(drawn, "principal_amount" if column == "drawn" else "platform_fee_charged")


def _of_events(usage: PartnerDailyUsage, column: str) -> int:
    begins = day_begins(usage.day)
    loans = PartnerLoan.objects.filter(partner=usage.partner_id)
    if column == "defaulted_loans":
        return loans.filter(default_day=usage.day).count()
    if column == "repaid_loans":
        paid = loans.filter(last_repayment_at__gte=begins, last_repayment_at__lt=begins + ONE_DAY)
        return paid.filter(status=LoanStatus.REPAID).count()
    settled = Repayment.objects.filter(partner=usage.partner_id, status=RepaymentStatus.SETTLED)
    return _sum(settled.filter(settled_at__gte=begins, settled_at__lt=begins + ONE_DAY), "amount")


def _of_oaid(credit: OaidCredit, column: str) -> int:
    loans = PartnerLoan.objects.filter(oaid_token_id=credit.oaid_token_id, status=LoanStatus.PENDING)
    return _sum(loans, "principal_amount")


def _of_position(position: SolvencyPosition, column: str) -> int:
    drawn = PartnerLoan.objects.filter(solvency_position_id=position.position_id).exclude(status__in=UNDRAWN)
    debt = _sum(drawn, "principal_amount") - _sum(drawn, "written_off_principal")
    for chosen in batched(drawn.values_list("pk", flat=True)):
        settled = Repayment.objects.filter(loan_id__in=chosen, status=RepaymentStatus.SETTLED)
        debt -= _sum(settled, "principal_paid")
    return debt


def _of_transfer(transfer: FundingTransfer, column: str) -> int:
    funded = Repayment.objects.filter(funding_transfer=transfer.pk, repaid_by=RepaymentSource.PARTNER)
    claims = funded.exclude(status=RepaymentStatus.FAILED)
    return _sum(claims, "amount") - _sum(claims, "platform_covered")


def _sum(rows: Any, column: str) -> int:
    return int(rows.aggregate(total=Sum(column))["total"] or 0)


DERIVED: dict[str, Callable[[Any, str], int]] = {
    "loans.PartnerLoan": _of_loan,
    "partners.Partner": _of_partner,
    "partners.PartnerDailyUsage": _of_day,
    "loans.OaidCredit": _of_oaid,
    "loans.SolvencyPosition": _of_position,
    "chain.FundingTransfer": _of_transfer,
}
