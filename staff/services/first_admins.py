"""Accounts that `manage.py create_staff` opens: the first two admins of an empty system, then whom the actor may."""

from collections.abc import Sequence

from django.contrib.auth.models import User

from authority.acting import Staff
from authority.roles import Role
from partner_platform.core.database.transactions import run_in_transaction
from staff.services.accounts import change_rights, open_account
from staff.services.whom import require_superuser

FIRST_ADMINS = 2  # one asks, the other approves
NOBODY_YET = "system:create_staff"


def is_empty_system() -> bool:
    """Whether there are too few accounts for two people to act, closed ones counted."""
    return User.objects.count() < FIRST_ADMINS


def open_first_admin(*, username: str, email: str, password: str) -> User:
    """One of the first two: a superuser with the role admin. Nobody is there yet who could open it.

    In one transaction: an account that was opened and got no rights would count as one of the two.
    """
    return run_in_transaction(lambda: _open_first(username, email, password))


def _open_first(username: str, email: str, password: str) -> User:
    if not is_empty_system():
        raise RuntimeError("There are accounts already: one of them opens the next one")
    user = open_account(actor=NOBODY_YET, username=username, password=password, email=email)
    change_rights(actor=NOBODY_YET, user=user, is_staff=True, is_superuser=True, roles=[Role.ADMIN])
    return user


def open_with_roles(*, actor: Staff, username: str, email: str, password: str, roles: Sequence[Role]) -> User:
    """An account; with roles it is one of staff, which only superusers make. Refused as a whole before it is opened.

    Where the roles wait for a second person, `Postponed` is raised and the account is open without them.
    """
    if roles:
        require_superuser(actor)
    user = open_account(actor=actor, username=username, password=password, email=email)
    if roles:
        change_rights(actor=actor, user=user, is_staff=True, is_superuser=False, roles=roles)
    return user
