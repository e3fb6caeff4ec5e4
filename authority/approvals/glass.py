"""Breaking the glass: one person makes a sensitive change alone, everybody who administers is told, somebody else
reviews it afterwards.
"""

import datetime as dt
import uuid

from audit.services import record_change
from authority.acting import Staff, needs
from authority.approvals import people
from authority.approvals.changes import SensitiveChange
from authority.approvals.closing import REASON_LENGTH
from authority.approvals.kinds import title_of
from authority.approvals.proposing import shown_lines
from authority.models import GlassBreak
from authority.rights import Right
from authority.signals import staff_written_to
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import Conflict, ErrorCode, NotFound, invalid_fields

REVIEW_WITHIN = dt.timedelta(hours=24)


def record_glass_break(change: SensitiveChange, actor: Staff) -> GlassBreak:
    """In the transaction of the change: its row, its audit entry, an e-mail to every admin. 400 without a reason."""
    if not actor.break_glass.strip():
        raise invalid_fields({"breakGlass": ["Say why."]})
    now = clock.now()
    row = GlassBreak.objects.create(
        kind=change.kind,
        target=change.target,
        before=dict(change.before),
        after=dict(change.after),
        impact=change.impact[:300],
        actor=str(actor),
        actor_account=actor.account,
        reason=actor.break_glass[:REASON_LENGTH],
        created_at=now,
        review_by=now + REVIEW_WITHIN,
    )
    record_change(
        actor=str(actor),
        action="break_glass.used",
        target=f"glassbreak:{row.pk}",
        before=row.before,
        after={"kind": row.kind, "target": row.target, "after": row.after, "reason": row.reason},
    )
    lines = [
        f"{actor} broke the glass: this was done without a second person: {title_of(row.kind)}.",
        *shown_lines(change, reason=row.reason),
        f"Somebody else must review it before {clock.isoformat(row.review_by)}, in the console.",
    ]
    staff_written_to.send(
        sender=GlassBreak,
        recipients=people.admins(),
        once=f"glassbreak:{row.pk}",
        subject=f"Break-glass by {actor.username}: {title_of(row.kind)}, {row.target}",
        text="\n".join(lines) + "\n",
    )
    return row


@needs(Right.REVIEW_BREAK_GLASS)
def review_glass_break(*, glass_break_id: uuid.UUID, actor: Staff, note: str) -> GlassBreak:
    """Note that a second person has looked at the change, and what they say of it.

    Raises 400 without a note, 404 `approval_not_found`, 403 `self_approval` for who broke the glass, 409
    `approval_closed` where it was reviewed before.
    """
    if not note.strip():
        raise invalid_fields({"note": ["This field is required."]})

    def review() -> GlassBreak:
        row = GlassBreak.objects.filter(pk=glass_break_id).first()
        if row is None:
            raise NotFound(ErrorCode.APPROVAL_NOT_FOUND, "There is no such use of break-glass")
        broke = "Who broke the glass cannot review it"
        people.require_second_person(people.username_of(row.actor), row.actor_account, actor, because=broke)
        unreviewed = GlassBreak.objects.filter(pk=row.pk, reviewed_by="")
        written = {"reviewed_by": str(actor), "reviewed_at": clock.now(), "review_note": note.strip()[:REASON_LENGTH]}
        if unreviewed.update(**written) != 1:
            raise Conflict(ErrorCode.APPROVAL_CLOSED, "It was reviewed before", details={"reviewedBy": row.reviewed_by})
        record_change(
            actor=str(actor),
            action="break_glass.reviewed",
            target=f"glassbreak:{row.pk}",
            after={"note": written["review_note"]},
        )
        return GlassBreak.objects.get(pk=row.pk)

    return run_in_transaction(review)
