"""The audit entry of a changed loan (M6): what it was, and what it became, in one form."""

from audit.services import record_change
from loans.models import PartnerLoan


def loan_target(loan: PartnerLoan) -> str:
    """What the audit trail calls the loan."""
    return f"loan:{loan.internal_loan_id}"


def loan_figures(loan: PartnerLoan) -> dict[str, str]:
    """The loan's figures as an audit entry shows them: status and outstanding principal, in base units."""
    return {"status": str(loan.status), "outstandingPrincipal": str(loan.outstanding_principal)}


def record_loan_change(loan: PartnerLoan, action: str, *, status: str, actor: str = "system", **after: object) -> None:
    """Write, in the caller's transaction, that the loan as it was read became `status`; `after` is what else it became.

    `outstandingPrincipal` among it, as in `loan_figures`, where it is to be shown.
    """
    record_change(
        actor=actor,
        action=action,
        target=loan_target(loan),
        before=loan_figures(loan),
        after={"status": str(status), **after},
    )
