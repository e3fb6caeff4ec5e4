"""Granting rights needs a second person (docs/approvals.md); taking them away protects, and does not wait."""

from collections.abc import Mapping

from django.contrib.auth.models import User

from authority.acting import Staff
from authority.approvals import people
from authority.approvals.changes import SensitiveChange
from authority.approvals.requiring import require_approval
from authority.rights import Right
from partner_platform.core.errors import ErrorCode, Forbidden
from staff.services.whom import user_target

GRANTING = "staff.rights"


def require_for_rights(
    user: User,
    before: Mapping[str, object],
    after: Mapping[str, object],
    *,
    actor: str,
) -> None:
    """Ask, in the transaction of the change, where it grants something; 403 where who approves it is granted it."""
    if not _grants(before, after):
        return
    if isinstance(actor, Staff) and actor.ticket is not None:
        checker = Staff(people.username_of(actor.ticket.checker), ())
        if people.is_same_person(user.username, str(user.pk), checker):
            raise Forbidden(ErrorCode.SELF_APPROVAL, "Nobody approves rights of their own")
    change = SensitiveChange(
        kind=GRANTING,
        target=user_target(user),
        rights=(Right.MANAGE_STAFF,),
        before=before,
        after=after,
        arguments={"account": str(user.pk), **after},
        impact=f"the account of {user.get_full_name() or user.username}, {user.email or 'without an e-mail address'}",
    )
    require_approval(change, actor=actor)


def _grants(before: Mapping[str, object], after: Mapping[str, object]) -> bool:
    flags = any(after[name] and not before[name] for name in ("staff", "superuser"))
    return flags or not set(_names(after["roles"])) <= set(_names(before["roles"]))


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []
