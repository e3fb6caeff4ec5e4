"""A second person approves or rejects a change that waits.

The maker decides about nothing of theirs, also by another account with their e-mail address, and by none that they
could have taken over (`people.require_second_person`). An approval makes the
change in its own transaction: the row leaves WAITING by a guarded update, so that of two approvals one wins, then the
kind runs the service again, as the maker with the rights that they have now. The service computes the change anew, and
`require_approval` compares it with what was shown.
"""

from dataclasses import dataclass

from authority import selectors
from authority.acting import Staff, require_right, staff_of
from authority.approvals import closing, people
from authority.approvals.changes import DIGESTED, digest_of_change
from authority.approvals.kinds import ApprovalKind, kind_named
from authority.approvals.outdated import ApprovalOutdated
from authority.approvals.proposing import ACTOR
from authority.models import Approval, ApprovalStatus
from authority.rights import Right
from authority.tickets import Ticket
from partner_platform.core import clock
from partner_platform.core.database.transactions import in_transaction, run_in_transaction
from partner_platform.core.errors import Conflict, ErrorCode, invalid_fields

ASKED = "Who asked for a change cannot decide about it"


@dataclass(frozen=True)
class Approved:
    """The closed approval, and the secrets that the change made, which are kept nowhere in clear."""

    approval: Approval
    secrets: dict[str, str]


def approve(*, approval_id: str, actor: Staff, reason: str) -> Approved:
    """Make the change, as its maker. Not inside a transaction: a kind may read the chain first.

    Raises 400 without a reason, 404 `approval_not_found`, 403 `right_missing` and `self_approval`, 409
    `approval_closed` and `approval_outdated`, and whatever the service refuses the change with; after that the approval
    waits on.
    """
    if in_transaction():
        raise RuntimeError("approve reads what is outside the database: call it outside a transaction")
    row = _require_may_decide(approval_id, actor, reason)
    kind = kind_named(row.kind)
    prepared = kind.prepare(row.arguments)
    return run_in_transaction(lambda: _make(row, kind, prepared, actor, reason))


def reject(*, approval_id: str, actor: Staff, reason: str) -> Approval:
    """Close the approval without the change; refused as `approve` is."""
    row = _require_may_decide(approval_id, actor, reason)
    if not closing.close(row.pk, ApprovalStatus.REJECTED, actor=str(actor), reason=reason.strip()):
        raise _closed(Approval.objects.get(pk=row.pk))
    return Approval.objects.get(pk=row.pk)


def _require_may_decide(approval_id: str, actor: Staff, reason: str) -> Approval:
    """The approval, still waiting, of which the actor may decide."""
    if not reason.strip():
        raise invalid_fields({"reason": ["This field is required."]})
    row = selectors.get_approval(approval_id)
    for right in row.rights:
        require_right(actor, Right(right))
    people.require_second_person(people.username_of(row.maker), row.maker_account, actor, because=ASKED)
    if row.status == ApprovalStatus.WAITING and row.expires_at <= clock.now():
        closing.close(row.pk, ApprovalStatus.EXPIRED, actor=ACTOR, reason="Nobody decided in time")
        row.refresh_from_db()
    if row.status != ApprovalStatus.WAITING:
        raise _closed(row)
    return row


def _make(row: Approval, kind: ApprovalKind, prepared: object, actor: Staff, reason: str) -> Approved:
    """In a transaction: close the approval as approved, and make its change."""
    if not closing.close(row.pk, ApprovalStatus.APPROVED, actor=str(actor), reason=reason.strip()):
        raise _closed(Approval.objects.get(pk=row.pk))
    ticket = Ticket(row.digest, row.pk, str(actor))
    if row.digest != digest_of_change(row.maker, row.maker_account, {name: getattr(row, name) for name in DIGESTED}):
        raise _outdated(ticket, "Its row is not what was written")
    secrets = kind.execute(row.arguments, _maker(row, ticket), prepared)
    if not ticket.is_used:
        raise _outdated(ticket, "There is nothing left to change")
    return Approved(Approval.objects.get(pk=row.pk), secrets)


def _maker(row: Approval, ticket: Ticket) -> Staff:
    """The maker with the rights of this moment; refused where they lost one that the change needs."""
    user = people.find_user(people.username_of(row.maker))
    maker = None if user is None else staff_of(user, reason=row.reason, ticket=ticket)
    if maker is None or (row.maker_account and maker.account != row.maker_account):
        raise _outdated(ticket, "Who asked for it has no account any more")
    lost = sorted(set(row.rights) - set(maker.rights))
    if lost:
        raise _outdated(ticket, f"Who asked for it no longer has the right {lost[0]}")
    return maker


def _outdated(ticket: Ticket, why: str) -> ApprovalOutdated:
    return ApprovalOutdated(why, approval_id=ticket.approval_id, checker=ticket.checker)


def _closed(row: Approval) -> Conflict:
    message = f"The approval is {row.status}" + (f", decided by {row.decided_by}" if row.decided_by else "")
    return Conflict(ErrorCode.APPROVAL_CLOSED, message, details={"status": str(row.status)})
