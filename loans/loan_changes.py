"""A change of a loan on record (M6, M4): its audit entry, its events, and what it changes of its partner's figures by
day, by one call in the transaction of the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit.services import Change, record_changes
from loans.models import PartnerLoan
from loans.objects.events import LoanEvent, record_loan_events
from partners.figures.daily_figures import DayMove, move_days


def loan_target(loan: PartnerLoan) -> str:
    """What the audit trail calls the loan."""
    return f"loan:{loan.internal_loan_id}"


def loan_figures(loan: PartnerLoan) -> dict[str, str]:
    """The loan's figures as an audit entry shows them: status and outstanding principal, in base units."""
    return {"status": str(loan.status), "outstandingPrincipal": str(loan.outstanding_principal)}


@dataclass(frozen=True, kw_only=True)
class LoanChange:
    """The loan as it was read became `status`; `after` is what else it became, with `outstandingPrincipal` as in
    `loan_figures` where that is to be shown. `action` is the audit entry's, `events` are told to the partner; `days`
    are counted (`loans.days_of_loans`).
    """

    loan: PartnerLoan
    action: str
    status: str
    events: Sequence[LoanEvent]
    actor: str = "system"
    after: Mapping[str, object] = field(default_factory=dict)
    days: Sequence[DayMove] = ()


def record_loan_changes(changes: Sequence[LoanChange]) -> None:
    """Write the audit entries, the events and the days of changes of different loans; call it in their transaction,
    after the rows were written.
    """
    if not changes:
        return
    record_changes([_audit_entry(change) for change in changes])
    record_loan_events({change.loan.pk: change.events for change in changes})
    move_days(move for change in changes for move in change.days)


def _audit_entry(change: LoanChange) -> Change:
    return Change(
        actor=change.actor,
        action=change.action,
        target=loan_target(change.loan),
        before=loan_figures(change.loan),
        after={"status": str(change.status), **change.after},
    )
