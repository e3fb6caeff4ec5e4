"""Writing the record."""

from typing import Any

from audit.models import AuditEntry
from partner_platform.core import context


def record_change(
    *,
    actor: str,
    action: str,
    target: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one audit entry; call it in the transaction of the change itself. Never pass a secret.

    `actor` is `partner:{partnerId}`, `staff:{username}` or `system`; `action` is dotted (`loan.requested`), `target` is
    `{kind}:{id}`; `before` and `after` are JSON values, amounts as strings of base units.
    """
    request_id = context.current_request_id()
    AuditEntry.objects.create(
        actor=actor,
        action=action,
        target=target,
        before=before,
        after=after,
        request_id="" if request_id == "-" else request_id,
    )
