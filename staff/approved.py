"""Makes approved changes of staff, as `partners.approvals.approved` those of partners."""

from typing import Any

from django.contrib.auth.models import User

from authority.acting import Staff
from authority.approvals.kinds import ApprovalKind, Arguments, Secrets, register_kind
from authority.roles import Role
from staff.services import accounts
from staff.services.granting import GRANTING


def register_staff_kinds() -> None:
    """Register them; called when Django starts."""
    register_kind(ApprovalKind(GRANTING, "Grant rights to a member of staff", _change_rights))


def _change_rights(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    given: Any = arguments
    accounts.change_rights(
        actor=actor,
        user=User.objects.get(pk=given["account"]),
        is_staff=given["staff"],
        is_superuser=given["superuser"],
        roles=[Role(name) for name in given["roles"]],
    )
    return {}
