"""An approval leaves WAITING: once, by one guarded update, with its audit entry."""

import uuid

from audit.services import record_change
from authority.models import Approval, ApprovalStatus
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction

REASON_LENGTH = 500


def close(approval_id: uuid.UUID, status: ApprovalStatus, *, actor: str, reason: str) -> bool:
    """Move a waiting approval to a final status; False where it is no longer waiting.

    The audit entry's action is `approval.` and the status in lower case.
    """

    def move() -> bool:
        waiting = Approval.objects.filter(pk=approval_id, status=ApprovalStatus.WAITING)
        closed = waiting.update(
            status=status,
            once=approval_id.hex,
            decided_by=actor,
            decided_at=clock.now(),
            decision_reason=reason[:REASON_LENGTH],
        )
        if closed != 1:
            return False
        row = Approval.objects.get(pk=approval_id)
        record_change(
            actor=actor,
            action=f"approval.{status.lower()}",
            target=f"approval:{approval_id}",
            before={"status": str(ApprovalStatus.WAITING)},
            after={"status": str(status), "reason": reason, "kind": row.kind, "target": row.target},
        )
        return True

    return run_in_transaction(move)
