"""An approval whose change is no longer what was shown: it is refused, and closed."""

import uuid

from authority.approvals import closing
from authority.models import ApprovalStatus
from partner_platform.core.errors import Conflict, ErrorCode
from partner_platform.core.postponed import AfterRollback


class ApprovalOutdated(Conflict, AfterRollback):
    """409 `approval_outdated`; the approval is closed as OUTDATED once the transaction is rolled back."""

    def __init__(self, why: str, *, approval_id: uuid.UUID, checker: str) -> None:
        message = f"{why}: the approval is closed. Ask for the change again"
        super().__init__(ErrorCode.APPROVAL_OUTDATED, message, details={"approvalId": str(approval_id)})
        self.why, self.approval_id, self.checker = why, approval_id, checker

    def after_rollback(self) -> None:
        closing.close(self.approval_id, ApprovalStatus.OUTDATED, actor=self.checker, reason=self.why)
