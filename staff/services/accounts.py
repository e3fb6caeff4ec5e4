"""Accounts of staff. Opening and closing needs MANAGE_STAFF; only superusers grant rights, and nobody their own."""

from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError

from audit.services import record_change
from authority.acting import Staff, needs
from authority.rights import Right
from authority.roles import Role
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode, invalid_fields
from staff.services.granting import require_for_rights
from staff.services.sessions import end_sessions_of
from staff.services.whom import require_not_own, require_other, require_own, require_superuser, user_target

OPENED = "staff.account_opened"


class Details(TypedDict, total=False):
    """What an account says of a person; none of it grants anything."""

    first_name: str
    last_name: str
    email: str


@needs(Right.MANAGE_STAFF)
def open_account(*, actor: str, username: str, password: str | None, email: str = "") -> User:
    """An account that may do nothing yet: a superuser makes it one of staff. Without password nobody signs in with it.

    Raises 400 where the name is taken, in whatever spelling, or could be taken for another: letters, digits and
    `@.+-_` alone, 150 at most.
    """
    name = User.normalize_username(username)
    try:
        for validate in User._meta.get_field("username").validators:
            validate(name)
    except ValidationError as error:
        raise invalid_fields({"username": error.messages}) from error

    def write() -> User:
        if User.objects.filter(username=name).exists():
            raise BadRequest(ErrorCode.INVALID_REQUEST, "This name is taken", details={"username": name})
        user = User.objects.create_user(name, email, password)
        after = {"username": name, "email": user.email}
        record_change(actor=actor, action=OPENED, target=user_target(user), after=after)
        return user

    return run_in_transaction(write)


@needs(Right.MANAGE_STAFF)
def close_account(*, actor: str, user: User) -> None:
    """Nobody signs in with it any more, and its sessions end. Never a superuser's or one's own."""
    run_in_transaction(lambda: _set_active(actor, user, is_active=False))


@needs(Right.MANAGE_STAFF)
def reopen_account(*, actor: str, user: User) -> None:
    """Take back `close_account`."""
    run_in_transaction(lambda: _set_active(actor, user, is_active=True))


def _set_active(actor: str, user: User, *, is_active: bool) -> None:
    require_other(actor, User.objects.get(pk=user.pk))
    if User.objects.filter(pk=user.pk, is_active=not is_active).update(is_active=is_active) != 1:
        return
    record_change(
        actor=actor,
        action="staff.account_reopened" if is_active else "staff.account_closed",
        target=user_target(user),
        before={"active": not is_active},
        after={"active": is_active},
    )
    if not is_active:
        end_sessions_of(user=user, actor=actor, because="the account was closed")


@needs(Right.MANAGE_STAFF)
def change_details(*, actor: str, user: User, details: Details) -> None:
    """Correct a person's name or e-mail address; a superuser's only by superusers."""

    def write() -> None:
        stored = User.objects.get(pk=user.pk)
        if stored.is_superuser:
            require_superuser(actor)
        before = {name: getattr(stored, name) for name in details}
        if before != details:
            User.objects.filter(pk=user.pk).update(**details)
            record_change(
                actor=actor,
                action="staff.details_changed",
                target=user_target(user),
                before=before,
                after=dict(details),
            )

    run_in_transaction(write)


def change_rights(*, actor: str, user: User, is_staff: bool, is_superuser: bool, roles: Sequence[Role]) -> None:
    """Set what the account may do. Only by superusers, and never one's own."""
    require_superuser(actor)
    require_not_own(actor, user)

    def write() -> None:
        stored = User.objects.get(pk=user.pk)
        before = _rights(stored)
        wanted = sorted(set(roles))
        after = {"staff": is_staff, "superuser": is_superuser, "roles": wanted}
        if before == after:
            return
        require_for_rights(stored, before, after, actor=actor)
        User.objects.filter(pk=user.pk).update(is_staff=is_staff, is_superuser=is_superuser)
        stored.groups.set([_group(role) for role in wanted])
        record_change(actor=actor, action="staff.rights_changed", target=user_target(user), before=before, after=after)
        if not is_staff:
            end_sessions_of(user=user, actor=actor, because="no longer of staff")

    run_in_transaction(write)


def _rights(user: User) -> dict[str, bool | list[str]]:
    roles = sorted(user.groups.values_list("name", flat=True))
    return {"staff": user.is_staff, "superuser": user.is_superuser, "roles": roles}


def _group(role: Role) -> Group:
    return Group.objects.filter(name=role).first() or Group.objects.create(name=role)


def change_own_password(*, actor: Staff, user: User, password: str, keep: UUID | None) -> None:
    """Set the actor's own password and end their other sessions; `keep` is the session that this is done in."""
    require_own(actor, user)
    run_in_transaction(lambda: _set_password(actor, user, password, keep))


def set_password(*, actor: str, user: User, password: str | None) -> None:
    """Set somebody's password; None: none is taken. Only by superusers: a password is all that its account may do."""
    require_superuser(actor)
    run_in_transaction(lambda: _set_password(actor, user, password, None))


def _set_password(actor: str, user: User, password: str | None, keep: UUID | None) -> None:
    user.set_password(password)
    User.objects.filter(pk=user.pk).update(password=user.password)
    after = {"usable": password is not None}
    record_change(actor=actor, action="staff.password_changed", target=user_target(user), after=after)
    end_sessions_of(user=user, actor=actor, because="the password was changed", keep=keep)
