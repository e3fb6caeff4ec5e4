"""Accounts of staff. Opening and closing needs MANAGE_STAFF; only superusers grant rights, and nobody their own."""

from collections.abc import Sequence

from django.contrib.auth.models import Group, User

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from authority.roles import Role
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode
from staff.services.whom import require_not_own, require_superuser, user_target

OPENED = "staff.account_opened"


@needs(Right.MANAGE_STAFF)
def open_account(*, actor: str, username: str, password: str | None, email: str = "") -> User:
    """An account that may do nothing yet: a superuser makes it one of staff. Without password nobody signs in with it.

    Raises 400 where the name is taken, in whatever spelling.
    """

    def write() -> User:
        name = User.normalize_username(username)
        if User.objects.filter(username=name).exists():
            raise BadRequest(ErrorCode.INVALID_REQUEST, "This name is taken", details={"username": name})
        user = User.objects.create_user(name, email, password)
        after = {"username": name, "email": user.email}
        record_change(actor=actor, action=OPENED, target=user_target(user), after=after)
        return user

    return run_in_transaction(write)


def change_rights(*, actor: str, user: User, is_staff: bool, is_superuser: bool, roles: Sequence[Role]) -> None:
    """Set what the account may do. Only by superusers, and never one's own."""
    require_superuser(actor)
    require_not_own(actor, user)

    def write() -> None:
        stored = User.objects.get(pk=user.pk)
        before = _rights(stored)
        names = sorted(set(roles))
        after = {"staff": is_staff, "superuser": is_superuser, "roles": names}
        if before == after:
            return
        User.objects.filter(pk=user.pk).update(is_staff=is_staff, is_superuser=is_superuser)
        stored.groups.set([_group(role) for role in names])
        record_change(actor=actor, action="staff.rights_changed", target=user_target(user), before=before, after=after)

    run_in_transaction(write)


def _rights(user: User) -> dict[str, bool | list[str]]:
    roles = sorted(user.groups.values_list("name", flat=True))
    return {"staff": user.is_staff, "superuser": user.is_superuser, "roles": roles}


def _group(role: Role) -> Group:
    return Group.objects.filter(name=role).first() or Group.objects.create(name=role)
