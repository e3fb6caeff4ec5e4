"""Default and cure: by staff, and by due dates.

A loan with a schedule is behind once a due date passed without its instalment: the instalment is MISSED at once, and
the loan DEFAULTED `LOAN_DEFAULT_GRACE_SECONDS` later. The repayment that brings it up to date cures it
(`ledger.payments`). A loan that staff marked as defaulted, with a reason, is cured only by staff or by a full
repayment. Time is the chain's, as for interest.
"""

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.selectors import changes_of
from authority.acting import needs
from authority.rights import Right
from events.kinds import EventType
from loans import days_of_loans
from loans.debt import schedules
from loans.ledger.payments import missed_events
from loans.loan_changes import LoanChange, loan_target, record_loan_changes
from loans.models import LoanStatus, PartnerLoan
from loans.objects.events import LoanEvent
from loans.states import IllegalTransition, require_transition
from partner_platform.core import clock
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode


@needs(Right.MARK_LOANS)
def mark_defaulted(*, loan_id: UUID, actor: str, reason: str) -> PartnerLoan:
    """Mark the loan as defaulted, for staff with a reason; 400 where it is not ACTIVE."""
    reason = reason.strip()[:300]
    if not reason:
        raise BadRequest(ErrorCode.INVALID_REQUEST, "A default needs a reason", details={"reason": ["Required."]})
    now = clock.now()
    changes = {"defaulted_at": now, "default_day": now.date(), "default_reason": reason}
    kind = EventType.LOAN_DEFAULTED
    return _move(loan_id, LoanStatus.DEFAULTED, actor=actor, kind=kind, changes=changes, reason=reason)


@needs(Right.MARK_LOANS)
def cure(*, loan_id: UUID, actor: str, reason: str = "", seen: int | None = None) -> PartnerLoan:
    """Make the loan ACTIVE again, for staff; 400 where it is not DEFAULTED.

    `seen` is how often it had defaulted (`times_defaulted`) when it was shown to staff: 400 where it defaulted since.
    """
    changes = {"defaulted_at": None, "default_reason": ""}
    return _move(
        loan_id,
        LoanStatus.ACTIVE,
        actor=actor,
        kind=EventType.LOAN_CURED,
        changes=changes,
        reason=reason[:300],
        seen=seen,
    )


def times_defaulted(loan: PartnerLoan) -> int:
    """How often the loan was marked as defaulted, by staff and by due dates, says the audit trail."""
    return changes_of(loan_target(loan)).filter(action="loan.defaulted").count()


def mark_overdue(*, now: dt.datetime) -> int:
    """Mark the loans that are overdue at `now` (the newest block's time); returns how many changed."""
    overdue = list(overdue_loans_query(now).values_list("pk", flat=True))
    return sum(alone(partial(_mark_one, pk, now), f"marking loan {pk}") for pk in overdue)


def overdue_loans_query(now: dt.datetime) -> Any:
    """Active loans with a due date in the past, the longest overdue first."""
    return PartnerLoan.objects.filter(status=LoanStatus.ACTIVE, next_due_at__lt=now).order_by("next_due_at")


def _mark_one(pk: UUID, now: dt.datetime) -> bool:
    return run_in_transaction(lambda: _mark(pk, now))


def _mark(pk: UUID, now: dt.datetime) -> bool:
    loan = PartnerLoan.objects.get(pk=pk)
    if loan.status != LoanStatus.ACTIVE or loan.next_due_at is None or loan.next_due_at >= now:
        return False
    marked = schedules.mark_schedule(loan.schedule, principal_repaid=_principal_repaid(loan), now=now)
    grace = dt.timedelta(seconds=settings.LOAN_DEFAULT_GRACE_SECONDS)
    defaults = marked.is_behind and marked.next_due_at is not None and marked.next_due_at + grace < now
    changes: dict[str, Any] = {"schedule": marked.schedule, "next_due_at": marked.next_due_at}
    if defaults:
        changes |= {"status": LoanStatus.DEFAULTED, "defaulted_at": now, "default_day": now.date()}
        require_transition(loan.status, LoanStatus.DEFAULTED)
    elif marked.schedule == loan.schedule:
        return False
    mine = PartnerLoan.objects.filter(pk=pk, status=loan.status, total_repaid=loan.total_repaid)
    if mine.update(**changes, updated_at=clock.now()) != 1:
        return False  # a payment came in at the same moment: the next sweep looks again
    moment = int(now.timestamp())
    told = missed_events(loan, marked.schedule, moment)
    if defaults:
        told.append(LoanEvent(type=EventType.LOAN_DEFAULTED, moment=moment))
    change = LoanChange(
        loan=loan,
        action="loan.defaulted" if defaults else "loan.installment_missed",
        status=LoanStatus.DEFAULTED if defaults else LoanStatus.ACTIVE,
        events=told,
        after={"missed": sum(entry["status"] == schedules.MISSED for entry in marked.schedule)},
        days=days_of_loans.default_moved(loan, now.date()) if defaults else [],
    )
    record_loan_changes([change])
    return True


def _principal_repaid(loan: PartnerLoan) -> int:
    return loan.principal_amount - loan.outstanding_principal - loan.written_off_principal


def _move(
    loan_id: UUID,
    status: LoanStatus,
    *,
    actor: str,
    kind: EventType,
    changes: dict[str, Any],
    reason: str,
    seen: int | None = None,
) -> PartnerLoan:
    def move() -> PartnerLoan:
        loan = PartnerLoan.objects.get(pk=loan_id)
        try:
            require_transition(loan.status, status)
        except IllegalTransition as error:
            message = f"Loan is {loan.status.lower()} and cannot become {status.lower()}"
            raise BadRequest(ErrorCode.INVALID_REQUEST, message, details={"status": loan.status}) from error
        if seen is not None and times_defaulted(loan) != seen:
            message = (
                f"Loan defaulted anew since it was shown: {loan.default_reason or 'a due date passed'}. Look again"
            )
            raise BadRequest(ErrorCode.INVALID_REQUEST, message, details={"status": loan.status})
        mine = PartnerLoan.objects.filter(pk=loan_id, status=loan.status, default_reason=loan.default_reason)
        if mine.update(status=status, updated_at=clock.now(), **changes) != 1:
            raise BadRequest(ErrorCode.INVALID_REQUEST, "Loan changed meanwhile", retry_after=1)
        change = LoanChange(
            loan=loan,
            action=str(kind),
            status=status,
            events=[LoanEvent(type=kind)],
            actor=actor,
            after={"reason": reason},
            days=days_of_loans.default_moved(loan, changes.get("default_day", loan.default_day)),
        )
        record_loan_changes([change])
        return PartnerLoan.objects.get(pk=loan_id)

    return run_in_transaction(move)
