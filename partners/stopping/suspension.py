"""Suspending a partner, wholly or for borrowing alone, and the one function that changes a partner's status.

Widening a suspension from BORROWING to ALL is suspending. Narrowing ALL to BORROWING lets the partner act again, so it
has a service and a right of its own: suspending never lifts a protection.
"""

from django.db.models import F

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, invalid_fields
from partner_platform.core.text.wording import joined
from partners.models import Partner, PartnerStatus, SuspensionScope
from partners.notices import events as notices
from partners.rules import status_of


@needs(Right.SUSPEND_PARTNERS)
def suspend_partner(*, partner: Partner, actor: str, reason: str = "", scope: str = SuspensionScope.ALL) -> Partner:
    """Refuse the partner's calls from now on, or with scope BORROWING its borrows alone; a borrow that is being
    accepted at the same moment is refused too.

    A partner that is already suspended gets this reason in addition, and the scope ALL where it had BORROWING. Raises
    400 `invalid_request` naming `scope` where it is unknown, or would let a partner act that may not now.
    """
    if scope not in SuspensionScope.values:
        raise invalid_fields({"scope": [f"Must be one of {', '.join(SuspensionScope.values)}."]})

    def suspend() -> Partner:
        before = Partner.objects.get(pk=partner.pk)
        is_suspended = before.status == PartnerStatus.SUSPENDED
        if scope == SuspensionScope.BORROWING:
            _require_not_wider(before)
        was = before.status_reason if is_suspended else ""
        reasons = joined(was, reason) if reason else was
        if is_suspended and reasons == was and before.suspension_scope == scope:
            return before  # nothing changed
        return set_status(
            before, PartnerStatus.SUSPENDED, reasons, scope=scope, actor=actor, action="partner.suspended"
        )

    return run_in_transaction(suspend)


@needs(Right.ACTIVATE_PARTNERS)
def narrow_suspension(*, partner: Partner, actor: str, reason: str = "", seen: int | None = None) -> Partner:
    """Let a partner that is suspended for ALL read and repay again; its borrows stay refused.

    The reasons so far are kept, with this one. `seen` is the `status_changes` that a person was shown. Raises 400
    `invalid_request` where the partner is not suspended, or changed since; one suspended for BORROWING stays as it is.
    """

    def narrow() -> Partner:
        before = Partner.objects.get(pk=partner.pk)
        require_as_shown(before, seen)
        if before.status != PartnerStatus.SUSPENDED:
            message = f"The partner is {status_of(before)}, not suspended"
            raise BadRequest(ErrorCode.INVALID_REQUEST, message, details={"status": before.status})
        if before.suspension_scope == SuspensionScope.BORROWING:
            return before
        reasons = joined(before.status_reason, reason) if reason else before.status_reason
        return set_status(
            before,
            PartnerStatus.SUSPENDED,
            reasons,
            scope=SuspensionScope.BORROWING,
            actor=actor,
            action="partner.suspension_narrowed",
        )

    return run_in_transaction(narrow)


def require_as_shown(partner: Partner, seen: int | None) -> None:
    """Raise 400 where the status, its scope or its reason changed since `seen` was shown; None: nothing was shown."""
    if seen is not None and partner.status_changes != seen:
        why = f", because {partner.status_reason}" if partner.status_reason else ""
        message = f"It changed since it was shown: it is {status_of(partner)}{why}. Look again"
        raise BadRequest(ErrorCode.INVALID_REQUEST, message, details={"status": partner.status})


def set_status(
    before: Partner,
    status: PartnerStatus,
    reason: str,
    *,
    actor: str,
    action: str,
    scope: str = SuspensionScope.ALL,
) -> Partner:
    """In a transaction: the status, its scope and why, where all are as they were read. Returns the partner."""
    as_read = Partner.objects.filter(pk=before.pk, status_changes=before.status_changes)
    changes = {"status": status, "suspension_scope": scope, "status_reason": reason}
    changed = as_read.update(**changes, status_changes=F("status_changes") + 1, updated_at=clock.now())
    if changed != 1:
        raise BadRequest(ErrorCode.INVALID_REQUEST, "Its status changed at the same moment", retry_after=1)
    after = Partner.objects.get(pk=before.pk)
    record_change(
        actor=actor,
        action=action,
        target=f"partner:{before.partner_id}",
        before=_as_audited(before),
        after=_as_audited(after),
    )
    is_told = (before.status, before.suspension_scope) != (after.status, after.suspension_scope)
    if status == PartnerStatus.SUSPENDED and is_told:
        notices.tell_suspended(after)
    return after


def _require_not_wider(before: Partner) -> None:
    """Scope BORROWING is for a partner that may borrow now, or is suspended so already."""
    if before.status == PartnerStatus.INACTIVE:
        raise invalid_fields({"scope": ["The partner is inactive: only activating it lets it act."]})
    if before.status == PartnerStatus.SUSPENDED and before.suspension_scope == SuspensionScope.ALL:
        raise invalid_fields({"scope": ["The partner is suspended for ALL; narrowing that is not a suspension."]})


def _as_audited(partner: Partner) -> dict[str, str]:
    audited = {"status": str(partner.status)}
    if partner.status == PartnerStatus.SUSPENDED:
        audited["scope"] = str(partner.suspension_scope)
    return audited | ({"reason": partner.status_reason} if partner.status_reason else {})
