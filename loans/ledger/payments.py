"""Writing a payment to the books: the loan's debt falls, its schedule and the partner's sums with it.

All kinds of payments end here: a partner's, the user's own, what a liquidation recovered. Inside the caller's
transaction; the position's ledger has been moved already (`ledger.apply`). The `LoanChange` that each returns is the
caller's to record, once all loans of the movement are written.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from events.kinds import EventType
from loans import days_of_loans
from loans.debt import schedules
from loans.ledger.movement import Movement
from loans.ledger.shares import AppliedPayment
from loans.loan_changes import LoanChange, loan_figures
from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentSource, RepaymentStatus
from loans.objects.events import LoanEvent
from loans.states import require_transition
from partner_platform.core import clock
from partner_platform.core.invariants import InvariantViolation
from partners import limits
from partners.figures.daily_figures import DayMove


def book_payment(
    payment: AppliedPayment,
    movement: Movement,
    *,
    source: RepaymentSource,
    repayment_id: UUID,
    frees_loan: bool = False,
) -> LoanChange:
    """Write what a payment did to one loan, by a repayment that is SETTLED.

    `frees_loan`: the partner's repayment in flight ends.
    """
    loan, paid_at = payment.loan, clock.from_seconds(movement.timestamp)
    status, terms = _outlook(loan, payment, paid_at)
    changes = {
        **payment.changes,
        **terms,
        "status": status,
        "outstanding_principal": loan.outstanding_principal - payment.principal,
        "interest_paid": loan.interest_paid + payment.interest,
        "total_repaid": loan.total_repaid + payment.paid,
        "last_repayment_at": paid_at,
        **movement.evidence,
        "repay_tx_hash": movement.tx_hash if status == LoanStatus.REPAID else loan.repay_tx_hash,
    }
    update_loan(loan, frees_loan=frees_loan, **changes)
    limits.count_repaid(
        partner_id=loan.partner_id,
        amount=payment.paid,
        principal=payment.principal,
        closes_loan=status == LoanStatus.REPAID,
    )
    told = _paid_events(loan, status, terms.get("schedule", []), repayment_id, movement.timestamp)
    day = days_of_loans.paid(loan, paid_at, payment.paid, closes_loan=status == LoanStatus.REPAID)
    return _payment_change(payment, source, status, told, day)


def book_late_repayment(payment: AppliedPayment, movement: Movement, paid: int, *, repayment_id: UUID) -> LoanChange:
    """Write that a repayment found nothing owed any more: somebody paid its loan before, and others got `paid`."""
    loan = payment.loan
    update_loan(loan, frees_loan=True, **payment.changes)
    return LoanChange(
        loan=loan,
        action="loan.repayment",
        status=loan.status,
        events=[LoanEvent(type=EventType.LOAN_REPAYMENT, moment=movement.timestamp, repayment_id=repayment_id)],
        after={**loan_figures(loan), "paid": "0", "paidForOthers": str(paid)},
    )


def book_shifted_share(payment: AppliedPayment) -> None:
    """Write the share of the debt that another loan's payment changed; the loan owes what it owed."""
    if any(getattr(payment.loan, name) != value for name, value in payment.changes.items()):
        update_loan(payment.loan, **payment.changes)


def update_loan(loan: PartnerLoan, *, frees_loan: bool = False, **changes: Any) -> None:
    """One guarded update: the loan is as it was read.

    `frees_loan`: a repayment ended, and is not PENDING any more. A reorg can have brought an older one back beside it
    (F40): then the loan is still taken.
    """
    if changes.get("status", loan.status) != loan.status:
        require_transition(loan.status, changes["status"])
    as_read = PartnerLoan.objects.as_read(loan, "status", "outstanding_principal", "total_repaid")
    if frees_loan:
        as_read = as_read.filter(repayment_in_flight=True)
    freed = {"repayment_in_flight": _has_pending(loan)} if frees_loan else {}
    if as_read.update(updated_at=clock.now(), **freed, **changes) != 1:
        raise InvariantViolation(f"M4: loan {loan.internal_loan_id} changed while it was being credited")


def _has_pending(loan: PartnerLoan) -> bool:
    return Repayment.objects.filter(loan=loan.pk, status=RepaymentStatus.PENDING).exists()


def _payment_change(
    payment: AppliedPayment, source: RepaymentSource, status: LoanStatus, told: list[LoanEvent], day: DayMove
) -> LoanChange:
    """The change; its action is the last event's: `loan.repaid`, `loan.cured` or `loan.repayment`."""
    loan = payment.loan
    return LoanChange(
        loan=loan,
        action=str(told[-1].type),
        status=status,
        events=told,
        after={
            "outstandingPrincipal": str(loan.outstanding_principal - payment.principal),
            "paid": str(payment.paid),
            "interest": str(payment.interest),
            "repaidBy": str(source),
        },
        days=[day],
    )


def _paid_events(
    loan: PartnerLoan, status: LoanStatus, schedule: schedules.Schedule, repayment_id: UUID, moment: int
) -> list[LoanEvent]:
    """The instalments that are seen to be missed by the payment's time, the payment, and what it ended."""
    types = [EventType.LOAN_REPAYMENT]
    if status == LoanStatus.REPAID:
        types.append(EventType.LOAN_REPAID)
    elif loan.status == LoanStatus.DEFAULTED and status == LoanStatus.ACTIVE:
        types.append(EventType.LOAN_CURED)
    paid = [LoanEvent(type=kind, moment=moment, repayment_id=repayment_id) for kind in types]
    return [*missed_events(loan, schedule, moment), *paid]


def missed_events(loan: PartnerLoan, schedule: schedules.Schedule, moment: int) -> list[LoanEvent]:
    """A `payment.missed` for each instalment that the new schedule shows as missed and the loan's did not."""
    missed = schedules.newly_missed(loan.schedule, schedule)
    return [
        LoanEvent(type=EventType.PAYMENT_MISSED, moment=moment, more={"installment": instalment})
        for instalment in missed
    ]


def _outlook(loan: PartnerLoan, payment: AppliedPayment, paid_at: dt.datetime) -> tuple[LoanStatus, dict[str, Any]]:
    """The loan's status after the payment, and its schedule where it has one."""
    if payment.closes:
        repaid = loan.principal_amount
    else:
        repaid = loan.principal_amount - loan.outstanding_principal + payment.principal
    if not loan.schedule:
        return (LoanStatus.REPAID if payment.closes else LoanStatus(loan.status)), {}
    marked = schedules.mark_schedule(loan.schedule, principal_repaid=repaid, now=paid_at)
    terms: dict[str, Any] = {"schedule": marked.schedule, "next_due_at": marked.next_due_at}
    if marked.next_due_at != loan.next_due_at:
        terms["untold_due_at"] = marked.next_due_at
    if payment.closes:
        return LoanStatus.REPAID, terms
    if loan.status == LoanStatus.DEFAULTED and not marked.is_behind and not loan.default_reason:
        return LoanStatus.ACTIVE, {**terms, "defaulted_at": None}
    return LoanStatus(loan.status), terms


def book_onchain_payment(payment: AppliedPayment, movement: Movement, *, source: RepaymentSource) -> LoanChange:
    """Write a payment that no partner's repayment made, with a repayment row of its own."""
    repayment = _create_onchain(payment, movement, source)
    return book_payment(payment, movement, source=source, repayment_id=repayment.pk)


def book_liquidation(payment: AppliedPayment, movement: Movement) -> LoanChange:
    """Write a loan's share of a liquidation: what it recovered is a repayment, interest first, the rest is lost."""
    loan, told, at = payment.loan, [], clock.from_seconds(movement.timestamp)
    lost_principal = loan.outstanding_principal - payment.principal
    if payment.paid:
        repayment = _create_onchain(payment, movement, RepaymentSource.LIQUIDATION)
        told = [LoanEvent(type=EventType.LOAN_REPAYMENT, moment=movement.timestamp, repayment_id=repayment.pk)]
        limits.count_repaid(partner_id=loan.partner_id, amount=payment.paid, principal=payment.principal)
    limits.write_off(partner_id=loan.partner_id, principal=lost_principal)
    changes: dict[str, Any] = {
        **payment.changes,
        **movement.evidence,
        "status": LoanStatus.LIQUIDATED,
        "outstanding_principal": 0,
        "interest_paid": loan.interest_paid + payment.interest,
        "total_repaid": loan.total_repaid + payment.paid,
        "written_off_principal": lost_principal,
        "liquidated_at": clock.from_seconds(movement.timestamp),
        "written_off_interest": payment.lost - lost_principal,
        "last_repayment_at": at if payment.paid else loan.last_repayment_at,
        "default_day": at.date(),
        "repay_tx_hash": movement.tx_hash,
        "next_due_at": None,
        "untold_due_at": None,
    }
    update_loan(loan, **changes)
    return LoanChange(
        loan=loan,
        action="loan.liquidated",
        status=LoanStatus.LIQUIDATED,
        events=[*told, LoanEvent(type=EventType.LOAN_LIQUIDATED, moment=movement.timestamp)],
        after={"recovered": str(payment.paid), "writtenOff": str(payment.lost), "txHash": movement.tx_hash},
        days=[days_of_loans.paid(loan, at, payment.paid), *days_of_loans.default_moved(loan, at.date())],
    )


def _create_onchain(payment: AppliedPayment, movement: Movement, source: RepaymentSource) -> Repayment:
    return Repayment.objects.create(
        loan_id=payment.loan.pk,
        partner_id=payment.loan.partner_id,
        amount=payment.paid,
        status=RepaymentStatus.SETTLED,
        repaid_by=source,
        funding=FundingSource.ONCHAIN,
        principal_paid=payment.principal,
        interest_paid=payment.interest,
        chain_order=movement.order,
        tx_hash=movement.tx_hash,
        settled_at=clock.from_seconds(movement.timestamp),
        **movement.evidence,
    )
