"""Whether a sensitive change may be made now.

A service that changes something sensitive calls `require_approval` inside its own transaction, once it knows the change
and before it writes it. So no interface can leave it out: API, console and commands all go through the service.

What breaks if the call stands after the service's transaction: two people could approve one change and see another.
"""

from django.conf import settings

from authority.acting import Staff, require_right
from authority.approvals import glass, proposing
from authority.approvals.changes import SensitiveChange
from authority.approvals.outdated import ApprovalOutdated
from authority.models import Approval
from authority.rights import Right
from partner_platform.core.database.transactions import in_transaction
from partner_platform.core.postponed import Postponed

REQUIRED = "required"


class WaitsForApproval(Postponed):
    """The change needs a second person. `approval` is its row, once the transaction is rolled back."""

    def __init__(self, change: SensitiveChange, maker: Staff) -> None:
        super().__init__(change.kind)
        self.change, self.maker = change, maker
        self.approval: Approval | None = None

    def after_rollback(self) -> None:
        if self.approval is None:
            self.approval = proposing.propose(self.change, self.maker)

    @property
    def message(self) -> str:
        return f"This waits for a second person: approval {self._row().pk}. Nothing is changed yet."

    @property
    def answer(self) -> dict[str, object]:
        row = self._row()
        return {"approvalId": str(row.pk), "status": str(row.status), "before": row.before, "after": row.after}

    def _row(self) -> Approval:
        if self.approval is None:
            raise RuntimeError("The proposal is not written: the transaction was not one of run_in_transaction")
        return self.approval


def is_approval_asked_of(actor: str) -> bool:
    """Whether `require_approval` would look at a change of this actor; a service may skip describing it otherwise."""
    return isinstance(actor, Staff) and (actor.ticket is not None or settings.APPROVALS == REQUIRED)


def require_approval(change: SensitiveChange, *, actor: str) -> None:
    """Return where the change may be made now; the service's caller has asked for its rights already.

    It may where approvals are off, where no person acts (a partner itself, a task of the platform), where the actor
    carries the approval of exactly this change, and where they break the glass. Raises 403 `right_missing` where they
    may not break it, 409 `approval_outdated` where the approval is of another change; else `WaitsForApproval`.
    """
    if not isinstance(actor, Staff):
        return
    if actor.ticket is not None:
        if actor.ticket.is_used or actor.ticket.digest != change.digest(actor):
            ticket = actor.ticket
            why = "What would be changed is no longer what was shown"
            raise ApprovalOutdated(why, approval_id=ticket.approval_id, checker=ticket.checker)
        actor.ticket.is_used = True
        return
    if settings.APPROVALS != REQUIRED:
        return
    if actor.break_glass:
        require_right(actor, Right.BREAK_GLASS)
        glass.record_glass_break(change, actor)
        return
    waits = WaitsForApproval(change, actor)
    if not in_transaction():  # nothing is rolled back, and nobody would call it
        waits.after_rollback()
    raise waits
