"""The row of a change that waits for a second person."""

import datetime as dt
import json

from django.conf import settings

from audit.services import record_change
from authority.acting import Staff
from authority.approvals import closing, people
from authority.approvals.changes import SensitiveChange
from authority.approvals.kinds import title_of
from authority.models import Approval, ApprovalStatus
from authority.signals import staff_written_to
from partner_platform.core import clock
from partner_platform.core.database.transactions import again_if_taken, run_in_transaction

ACTOR = "system:approvals"
IMPACT_LENGTH = 300


def propose(change: SensitiveChange, maker: Staff) -> Approval:
    """Write the proposal, in a transaction of its own, and tell those who may decide; returns its row.

    The same change that still waits for the same maker is the same proposal.
    """
    digest = change.digest(maker)

    def write() -> Approval:
        waiting = Approval.objects.filter(once=digest).first()
        if waiting is not None and waiting.expires_at > clock.now():
            return waiting
        if waiting is not None:
            closing.close(waiting.pk, ApprovalStatus.EXPIRED, actor=ACTOR, reason="Nobody decided in time")
        with again_if_taken():
            row = Approval.objects.create(digest=digest, once=digest, **_columns(change, maker))
        _record(row)
        _tell(row, change, maker)
        return row

    return run_in_transaction(write)


def _columns(change: SensitiveChange, maker: Staff) -> dict[str, object]:
    now = clock.now()
    return {
        "kind": change.kind,
        "target": change.target,
        "rights": sorted(change.rights),
        "before": dict(change.before),
        "after": dict(change.after),
        "impact": change.impact[:IMPACT_LENGTH],
        "arguments": dict(change.arguments),
        "basis": dict(change.basis),
        "maker": str(maker),
        "maker_account": maker.account,
        "reason": maker.reason[: closing.REASON_LENGTH],
        "created_at": now,
        "expires_at": now + dt.timedelta(hours=settings.APPROVAL_HOURS),
    }


def _record(row: Approval) -> None:
    shown = {"before": row.before, "after": row.after, "impact": row.impact, "reason": row.reason}
    record_change(
        actor=row.maker,
        action="approval.proposed",
        target=f"approval:{row.pk}",
        after={"kind": row.kind, "target": row.target, **shown},
    )


def _tell(row: Approval, change: SensitiveChange, maker: Staff) -> None:
    lines = [
        f"{row.maker} asks for a change that a second person must approve: {title_of(row.kind)}.",
        f"Approval: {row.pk}",
        *shown_lines(change, reason=row.reason),
        f"It expires at {clock.isoformat(row.expires_at)}.",
    ]
    staff_written_to.send(
        sender=Approval,
        recipients=people.having(change.rights, but=maker),
        once=f"approval:{row.pk}",
        subject=f"Approval wanted: {title_of(row.kind)}, {row.target}",
        text="\n".join(lines) + "\n",
    )


def shown_lines(change: SensitiveChange, *, reason: str) -> list[str]:
    """A change for the text of a mail."""
    return [
        f"Target: {change.target}",
        f"Before: {json.dumps(dict(change.before), ensure_ascii=False)}",
        f"After: {json.dumps(dict(change.after), ensure_ascii=False)}",
        f"Impact: {change.impact or '-'}",
        f"Reason: {reason or '-'}",
    ]
